"""The kinds of networks: generators, discriminators and encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ganframe.config.tensor_specs import SampleSpec, TensorSpec

if TYPE_CHECKING:
    from torch import nn

from ganframe.config.component import Component

GeneratorInput = Literal["latent", "sample"]
"""The input of a generator: `latent` is random numbers, `sample` is a sample of another domain."""


class GeneratorConfig(Component):
    """A network that makes samples."""

    kind: ClassVar[str] = "generator"
    starts_from: ClassVar[GeneratorInput] = "latent"
    """The input of the network: a latent, or a sample of another domain, as in image translation."""
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Names of the methods of the built network, other than `forward`, that terms may call, such as `log_prob`."""

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        """Make the network, which follows the protocol `ganframe.game.protocols.Generator`.

        Args:
            output: The spec of one sample that the network makes.
            source: The spec of the sample that the network starts from; None if it starts from a latent.
            condition: The spec of the condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot take or make tensors of these shapes.
        """
        raise NotImplementedError


class DiscriminatorConfig(Component):
    """A network that tells real samples from fake ones."""

    kind: ClassVar[str] = "discriminator"
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Names of the outputs, other than logits, that the network gives: `features`, `class_logits`."""
    supports_double_backward: ClassVar[bool] = True
    """Whether the network has second derivatives, which training with a gradient penalty needs."""
    batch_coupled: ClassVar[bool] = False
    """Whether the output for one sample depends on the rest of the batch."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """Make the network, which follows the protocol `ganframe.game.protocols.Discriminator`.

        Args:
            sample: The spec of one sample that the network is given: one tensor, or several together.
            condition: The spec of the condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot take tensors of these shapes.
        """
        raise NotImplementedError


class EncoderConfig(Component):
    """A frozen network whose activations say how alike two samples are."""

    kind: ClassVar[str] = "encoder"

    def build(self) -> nn.Module:
        """Make the network, which follows the protocol `ganframe.game.protocols.Encoder`.

        Raises:
            BadInput: When its weights are missing or damaged.
        """
        raise NotImplementedError
