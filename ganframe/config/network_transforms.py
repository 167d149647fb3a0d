"""Networks built from other networks, nested in configs as `{type: spectral-norm, of: {type: patchgan}}`."""
# A transform can do what its inner network can: the class variables of other configs are properties here.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig, GeneratorInput
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import within

if TYPE_CHECKING:
    from torch import nn


class DiscriminatorTransform(DiscriminatorConfig):
    """A discriminator built from another one; it has the capabilities of the other, unless it overrides them."""

    of: DiscriminatorConfig
    """The discriminator to change."""

    @property
    def conditional(self) -> bool:
        """Whether the inner network can take a condition."""
        return self.of.conditional

    @property
    def provides(self) -> frozenset[str]:
        """Outputs of the inner network beside logits."""
        return self.of.provides

    @property
    def supports_double_backward(self) -> bool:
        """Whether a gradient penalty can be differentiated through the network."""
        return self.of.supports_double_backward

    @property
    def batch_coupled(self) -> bool:
        """Whether the output for one sample depends on the rest of the batch."""
        return self.of.batch_coupled

    @override
    def heads(self) -> tuple[str, ...]:
        return self.of.heads()

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        with within("of"):
            network = self.of.build(sample=sample, condition=self.inner_condition(condition))
        return _remembering(self.change(network, sample=sample, condition=condition), self.of, network)

    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        """Return the condition of the inner discriminator: that of the game, unless the transform keeps it.

        Args:
            condition: The condition of one sample; None for an unconditional network.
        """
        return condition

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """Make the new discriminator from the live one, which may be changed in place.

        Args:
            network: The discriminator that was built from `of`.
            sample: What it is given.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot be changed so.
        """
        raise NotImplementedError


class GeneratorTransform(GeneratorConfig):
    """A generator built from another one; it has the capabilities of the other, unless it overrides them."""

    of: GeneratorConfig
    """The generator to change."""

    @property
    def starts_from(self) -> GeneratorInput:
        """Whether the network takes a latent, or a sample of another domain."""
        return self.of.starts_from

    @property
    def conditional(self) -> bool:
        """Whether the inner network can take a condition."""
        return self.of.conditional

    @property
    def provides(self) -> frozenset[str]:
        """Methods of the inner network beside `forward`."""
        return self.of.provides

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
        """Make the new generator from the live one, which may be changed in place.

        One that starts from a latent must have `latent_shape`, as the other has.

        Args:
            network: The generator that was built from `of`.
            output: One sample to be made.
            source: One sample to start from; None where the network starts from a latent.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot be changed so.
        """
        raise NotImplementedError


_BUILT_FROM = "built_from_networks"
"""The attribute of a network in which the networks that it was built from are kept."""


def built_from(network: nn.Module) -> Sequence[tuple[GeneratorConfig | DiscriminatorConfig, nn.Module]]:
    """Return the networks that a network was built from, innermost first, with their configs; empty for a plain one."""
    return getattr(network, _BUILT_FROM, ())


def _remembering(changed: nn.Module, config: GeneratorConfig | DiscriminatorConfig, network: nn.Module) -> nn.Module:
    # In a tuple, so that it is no submodule: a network that was changed in place would contain itself.
    setattr(changed, _BUILT_FROM, (*built_from(network), (config, network)))
    return changed
