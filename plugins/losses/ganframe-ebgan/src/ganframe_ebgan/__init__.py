"""Energy-based GAN: the discriminator is an autoencoder, and what it cannot reconstruct has a high energy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PositiveInt

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
    """Judges by how well it can reconstruct a sample of any shape: the raw output is minus the mean squared error."""

    paper = f"{PAPER}, section 2.3"
    type: Literal["autoencoder"] = "autoencoder"
    provides = frozenset({"features"})
    hidden: tuple[PositiveInt, ...] = (256,)
    """Units of each hidden layer of the encoder, from the sample on; the decoder has the same in reverse."""
    code: PositiveInt = 32
    """Numbers in a code, which is what the verdict shows as features."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """See base class."""
        from ganframe_ebgan.autoencoder import AutoencoderNetwork  # noqa: PLC0415  configs stay free of torch

        return AutoencoderNetwork(self, sample)


class Energy(LossConfig):
    """Low energy for reals, energy up to a margin for fakes; an energy is minus a raw output."""

    paper = f"{PAPER}, eq. 1 and 2"
    type: Literal["energy"] = "energy"
    aliases = ("ebgan",)
    decision_threshold = None
    margin: Annotated[Scheduled, Bounds(ge=0)] = 1.0
    """Energy beyond which a fake no longer counts (the paper's m), >= 0; a number or a schedule."""

    def build(self) -> Loss:
        """See base class."""
        from ganframe_ebgan.terms import EnergyLoss  # noqa: PLC0415  configs stay free of torch

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
    """Which of the verdict's features is meant, counted from 0 at the input side or from -1 at the other."""

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_ebgan.terms import PullingAwayTerm  # noqa: PLC0415  configs stay free of torch

        return PullingAwayTerm(self.layer)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the discriminator, the loss and the regularizer."""
    for cls in (Autoencoder, Energy, PullingAway):
        register(cls)
