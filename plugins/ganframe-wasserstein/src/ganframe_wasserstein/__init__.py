"""The Wasserstein loss, and the gradient penalty that keeps its critic close to 1-Lipschitz."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ganframe import hookimpl
from ganframe.config import Component, LossConfig, RegularizerConfig, Scheduled

if TYPE_CHECKING:
    from ganframe.protocols import Loss, Regularizer


class Wasserstein(LossConfig):
    """The critic's mean on fakes minus that on reals; an estimate of -W1 only where the critic is 1-Lipschitz."""

    paper = "Arjovsky et al. 2017, arXiv:1701.07875, eq. 2"
    type: Literal["wasserstein"] = "wasserstein"
    aliases = ("wgan",)
    boundary = None

    def build(self) -> Loss:
        """See base class."""
        from ganframe_wasserstein.losses import WassersteinLoss  # noqa: PLC0415  configs stay free of torch

        return WassersteinLoss()


class WGANGP(RegularizerConfig):
    """Pulls the norm of the critic's gradient to 1 on random points between reals and fakes."""

    paper = "Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 and algorithm 1"
    type: Literal["wgan-gp"] = "wgan-gp"
    side = "discriminator"
    zero_when = "the judge has slope one"
    differentiates_twice = True
    weight: Scheduled = 10.0
    """Factor of the penalty (lambda in eq. 3); a number or a schedule."""

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_wasserstein.penalty import GradientNormPenalty  # noqa: PLC0415  configs stay free of torch

        return GradientNormPenalty()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss and the penalty."""
    register(Wasserstein)
    register(WGANGP)
