"""Energy-based GAN: the discriminator is an autoencoder, and samples that it cannot reconstruct have a high energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import (
    Bounds,
    Component,
    DiscriminatorConfig,
    LossConfig,
    RegularizerConfig,
    SampleSpec,
    Scheduled,
    TensorSpec,
    hookimpl,
    initial_value,
)

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Loss, Regularizer

PAPER = "Zhao et al. 2017, arXiv:1609.03126"


class Autoencoder(DiscriminatorConfig):
    """Scores a sample of any shape by its reconstruction: the raw output is minus the mean squared error."""

    paper = f"{PAPER}, section 2.3"
    type: Literal["autoencoder"] = "autoencoder"
    provides = frozenset({"features"})
    hidden: tuple[PositiveInt, ...] = (256,)
    """Units of each hidden layer of the encoder, from the sample on; the decoder has the same layers in reverse."""
    code: PositiveInt = 32
    """Numbers in a code; the codes are the discriminator's features."""

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        from ganframe_ebgan.autoencoder import AutoencoderNetwork

        return AutoencoderNetwork(self, sample)


class Energy(LossConfig):
    """Low energy for reals, and energy up to a margin for fakes; the energy is minus the raw output."""

    paper = f"{PAPER}, eq. 1 and 2"
    type: Literal["energy"] = "energy"
    aliases = ("ebgan",)
    decision_threshold = None
    margin: Annotated[Scheduled, Bounds(ge=0)] = 1.0
    """Energy beyond which a fake no longer counts (the paper's m), >= 0; a number or a schedule."""

    @override
    def build(self) -> Loss:
        from ganframe_ebgan.terms import EnergyLoss

        return EnergyLoss(initial_value(self.margin))


class PullingAway(RegularizerConfig):
    """Mean squared cosine between the features of different fakes of a batch, so that they differ."""

    paper = f"{PAPER}, section 2.4"
    type: Literal["pulling-away"] = "pulling-away"
    batch_coupled = True
    requires_outputs = frozenset({"features"})
    weight: Scheduled = 0.1
    """Factor of the term, 0.1 in the paper; a number or a schedule."""
    layer: int = -1
    """Which of the discriminator's features is used, counted from 0 at the input side or from -1 at the output side."""

    @override
    def build(self) -> Regularizer:
        from ganframe_ebgan.terms import PullingAwayTerm

        return PullingAwayTerm(self.layer)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the discriminator, the loss and the regularizer."""
    for cls in (Autoencoder, Energy, PullingAway):
        register(cls)
