"""The kinds of networks: generators, discriminators and encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ganframe.config.tensor_specs import SampleSpec, TensorSpec

if TYPE_CHECKING:
    from torch import nn

from ganframe.config.component import Component

GeneratorInput = Literal["latent", "sample"]
"""The input of a generator: random numbers, or a sample of another domain."""


class GeneratorConfig(Component):
    """A network that makes samples."""

    kind: ClassVar[str] = "generator"
    starts_from: ClassVar[GeneratorInput] = "latent"
    """Whether the network takes a latent, or a sample of another domain."""
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Methods of the live network beside `forward` that terms may call, such as `log_prob`."""

    def build(
        self, *, output: TensorSpec, source: TensorSpec | None = None, condition: TensorSpec | None = None
    ) -> nn.Module:
        """Make the network: a `protocols.Generator`.

        Args:
            output: One sample to be made.
            source: One sample to start from; None where the network starts from a latent.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network cannot have such an output.
        """
        raise NotImplementedError


class DiscriminatorConfig(Component):
    """A network that tells real samples from fake ones."""

    kind: ClassVar[str] = "discriminator"
    conditional: ClassVar[bool] = False
    """Whether the network can take a condition."""
    provides: ClassVar[frozenset[str]] = frozenset()
    """Outputs beside logits: `features`, `class_logits`."""
    supports_double_backward: ClassVar[bool] = True
    """Whether a gradient penalty can be differentiated through the network."""
    batch_coupled: ClassVar[bool] = False
    """Whether the output for one sample depends on the rest of the batch."""

    def heads(self) -> tuple[str, ...]:
        """Return the names of the heads of logits, such as one for each scale; empty for a single head."""
        return ()

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """Make the network: a `protocols.Discriminator`.

        Args:
            sample: What it is given: one tensor, or several together.
            condition: The condition of one sample; None for an unconditional network.

        Raises:
            BadInput: When the network does not fit the sample.
        """
        raise NotImplementedError


class EncoderConfig(Component):
    """A frozen network whose activations say how alike two samples are."""

    kind: ClassVar[str] = "encoder"

    def build(self) -> nn.Module:
        """Make the network: a `protocols.Encoder`.

        Raises:
            BadInput: When its weights are missing or damaged.
        """
        raise NotImplementedError
