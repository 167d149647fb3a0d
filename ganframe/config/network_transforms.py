"""Transforms: networks built from other networks, as in `{type: spectral-norm, of: {type: patchgan}}`."""
# Class variables of the base classes are properties here, with the values of the network in `of`.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig, GeneratorInput
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import within

if TYPE_CHECKING:
    from torch import nn


class DiscriminatorTransform(DiscriminatorConfig):
    """A discriminator built from another one, `of`, whose properties it has unless a subclass overrides them."""

    of: DiscriminatorConfig
    """The discriminator to change."""

    @property
    def conditional(self) -> bool:
        """Whether the network can take a condition."""
        return self.of.conditional

    @property
    def provides(self) -> frozenset[str]:
        """Names of the outputs, other than logits, that the network gives: `features`, `class_logits`."""
        return self.of.provides

    @property
    def supports_double_backward(self) -> bool:
        """Whether the network has second derivatives, which training with a gradient penalty needs."""
        return self.of.supports_double_backward

    @property
    def batch_coupled(self) -> bool:
        """Whether the output for one sample depends on the rest of the batch."""
        return self.of.batch_coupled

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        with within("of"):
            network = self.of.build(sample=sample, condition=self.inner_condition(condition))
        return _remembering(self.change(network, sample=sample, condition=condition), self.of, network)

    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        """Return the spec of the condition for which the discriminator in `of` is built; by default `condition`.

        A transform that uses the condition itself, and hides it from that discriminator, returns None.

        Args:
            condition: The spec of the condition of one sample; None if the network is unconditional.
        """
        return condition

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """Make the new discriminator from `network`, which may be changed in place.

        Args:
            network: The discriminator that was built from `of`.
            sample: The spec of one sample, the same for both discriminators; a tuple if it has several tensors.
            condition: The spec of the condition of one sample; None if the network is unconditional.

        Raises:
            BadInput: When the transform cannot be applied to `network`.
        """
        raise NotImplementedError


class GeneratorTransform(GeneratorConfig):
    """A generator built from another one, `of`, whose properties it has unless a subclass overrides them."""

    of: GeneratorConfig
    """The generator to change."""

    @property
    def starts_from(self) -> GeneratorInput:
        """The input of the network: a latent, or a sample of another domain, as in image translation."""
        return self.of.starts_from

    @property
    def conditional(self) -> bool:
        """Whether the network can take a condition."""
        return self.of.conditional

    @property
    def provides(self) -> frozenset[str]:
        """Names of the methods of the built network, other than `forward`, that terms may call."""
        return self.of.provides

    @override
    def latent_specs(self) -> Mapping[str, TensorSpec]:
        """Return the specs of the latents that the network takes, by name, as far as the config has them."""
        return self.of.latent_specs()

    @override
    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        with within("of"):
            network = self.of.build(output=output, source=source, condition=condition)
        changed = self.change(network, output=output, source=source, condition=condition)
        return _remembering(changed, self.of, network)

    def change(
        self, network: nn.Module, *, output: TensorSpec, source: TensorSpec | None, condition: TensorSpec | None
    ) -> nn.Module:
        """Make the new generator from `network`, which may be changed in place.

        If it starts from a latent, the new generator must have an attribute `latent_shape`, too.

        Args:
            network: The generator that was built from `of`.
            output: The spec of one sample that the generator makes.
            source: The spec of the sample that the generator starts from; None if it starts from a latent.
            condition: The spec of the condition of one sample; None if the network is unconditional.

        Raises:
            BadInput: When the transform cannot be applied to `network`.
        """
        raise NotImplementedError


_BUILT_FROM = "built_from_networks"
"""Name of the attribute in which a network keeps the networks that it was built from."""


def built_from(network: nn.Module) -> Sequence[tuple[GeneratorConfig | DiscriminatorConfig, nn.Module]]:
    """Return the networks inside `network` that transforms started from, innermost first, each with its config.

    Empty if no transform built `network`.
    """
    return getattr(network, _BUILT_FROM, ())


def _remembering(changed: nn.Module, config: GeneratorConfig | DiscriminatorConfig, network: nn.Module) -> nn.Module:
    # In a tuple, because `nn.Module` would register a bare network as a submodule of `changed`, which may be that same
    # network.
    setattr(changed, _BUILT_FROM, (*built_from(network), (config, network)))
    return changed
