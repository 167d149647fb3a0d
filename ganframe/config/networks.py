"""The kinds of networks: generators, discriminators and encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ganframe.config.tensor_specs import SampleSpec, TensorSpec

if TYPE_CHECKING:
    from torch import nn

from ganframe.config.component import Component
from ganframe.errors import BadInput

GeneratorInput = Literal["latent", "sample"]
"""The input of a generator: `latent` for random numbers, `sample` for a sample of another domain."""


class GeneratorConfig(Component):
    """A network that makes samples."""

    kind: ClassVar[str] = "generator"
    starts_from: ClassVar[GeneratorInput] = "latent"
    """The input of the network: a latent, or a sample of another domain, as in image translation."""
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    several_conditions: ClassVar[bool] = False
    """Whether the network also takes a tuple of conditions. `build` then gets a tuple of their specs."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Names of the methods of the built network, other than `forward`, that terms may call, such as `log_prob`."""

    def latent_specs(self) -> Mapping[str, TensorSpec]:
        """Return the specs of the latents that the network takes, by name, without building it.

        By default, this is one vector, `latent`, whose length is the setting `latent`. A network with other latents
        overrides this. Empty if the network starts from a sample, or if the shapes are known only once it is built.
        """
        size = getattr(self, "latent", None)
        return {"latent": TensorSpec((size,))} if self.starts_from == "latent" and isinstance(size, int) else {}

    def latent_spec(self, name: str = "latent") -> TensorSpec:
        """Return the spec of one latent, for a game that builds other networks to match it, such as an encoder.

        Raises:
            BadInput: When `latent_specs` does not have it.
        """
        specs = self.latent_specs()
        if name in specs:
            return specs[name]
        known = f"Its latents are: {', '.join(specs)}." if specs else "Use a network whose config tells its latents."
        raise BadInput(f"the config of {self.type_name()!r} does not tell the shape of {name!r}", remedy=known)

    def example_specs(self) -> Mapping[str, Any] | None:
        """Return the arguments of `build` with which the conformance kit tests the network.

        If None, the kit tries images and then vectors, with class labels as the condition. A network that takes none of
        these must override this: `{"output": TensorSpec((8,)), "source": TensorSpec((3, 32, 32))}` for an encoder.
        """
        return None

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        """Build the network, which must follow the protocol `ganframe.game.protocols.Generator`.

        Args:
            output: The spec of one sample that the network makes.
            source: The spec of the sample that the network starts from; None if it starts from a latent.
            condition: The spec of the condition of one sample; None if the network is unconditional.

        Raises:
            BadInput: When the network cannot take or make tensors of these shapes.
        """
        raise NotImplementedError


class DiscriminatorConfig(Component):
    """A network that tells real samples from fake ones."""

    kind: ClassVar[str] = "discriminator"
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    several_conditions: ClassVar[bool] = False
    """Whether the network also takes a tuple of conditions. `build` then gets a tuple of their specs."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Names of the outputs, other than logits, that the network gives: `features`, `class_logits`."""
    supports_double_backward: ClassVar[bool] = True
    """Whether the network has second derivatives, which training with a gradient penalty needs."""
    batch_coupled: ClassVar[bool] = False
    """Whether the output for one sample depends on the rest of the batch."""

    def example_specs(self) -> Mapping[str, Any] | None:
        """Return the arguments of `build` with which the conformance kit tests the network.

        If None, the kit tries images, vectors and then pairs of them, with class labels as the condition. A network
        that takes none of these must override this: `{"sample": (TensorSpec((1, 28, 28)), TensorSpec((16,)))}`.
        """
        return None

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """Build the network, which must follow the protocol `ganframe.game.protocols.Discriminator`.

        Args:
            sample: The spec of one sample that the network scores; a tuple if it has several tensors.
            condition: The spec of the condition of one sample; None if the network is unconditional.

        Raises:
            BadInput: When the network cannot take tensors of these shapes.
        """
        raise NotImplementedError


class EncoderConfig(Component):
    """A frozen network whose activations show how similar two samples are."""

    kind: ClassVar[str] = "encoder"
    differentiable: ClassVar[bool] = True
    """Whether gradients flow through the network to the samples. Only metrics can use an encoder without gradients."""

    def example_specs(self) -> Sequence[TensorSpec]:
        """Return the specs of the samples with which the conformance kit tests the network. It must accept all."""
        return (TensorSpec((3, 64, 64)), TensorSpec((1, 28, 28)))

    def build(self) -> nn.Module:
        """Build the network, which must follow the protocol `ganframe.game.protocols.Encoder`.

        Raises:
            BadInput: When its weights are missing or damaged.
        """
        raise NotImplementedError
