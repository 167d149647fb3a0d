"""The Wasserstein loss, and what keeps its critic Lipschitz: a gradient penalty, or clipped weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import override

from ganframe.config import (
    Bounds,
    Component,
    DiscriminatorTransform,
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


class Wasserstein(LossConfig):
    """The critic's mean on fakes minus its mean on reals. It estimates -W1 only if the critic is 1-Lipschitz."""

    paper = "Arjovsky et al. 2017, arXiv:1701.07875, eq. 2"
    type: Literal["wasserstein"] = "wasserstein"
    aliases = ("wgan",)
    decision_threshold = None

    @override
    def build(self) -> Loss:
        from ganframe_wasserstein.losses import WassersteinLoss

        return WassersteinLoss()


class WGANGP(RegularizerConfig):
    """Pulls the norm of the critic's gradient towards 1 at random points between reals and fakes."""

    paper = "Gulrajani et al. 2017, arXiv:1704.00028, eq. 3 and algorithm 1"
    type: Literal["wgan-gp"] = "wgan-gp"
    side = "discriminator"
    zero_when = "discriminator gradient has norm one"
    needs_double_backward = True
    weight: Scheduled = 10.0
    """Factor of the penalty (lambda in eq. 3); a number or a schedule."""

    @override
    def build(self) -> Regularizer:
        from ganframe_wasserstein.penalty import WassersteinGradientPenalty

        return WassersteinGradientPenalty()


class WeightClipping(DiscriminatorTransform):
    """Keeps every parameter of a critic in [-bound, bound], which bounds the slope of the critic."""

    paper = "Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1"
    type: Literal["weight-clipping"] = "weight-clipping"
    bound: Annotated[Scheduled, Bounds(ge=1e-6)] = 0.01
    """Largest absolute value of a parameter (c in algorithm 1); a number or a schedule. It is applied when the critic
    is built and after each of its steps."""

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_wasserstein.clipping import Clipped

        return Clipped(network, initial_value(self.bound))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss, the penalty and the transform."""
    for cls in (Wasserstein, WGANGP, WeightClipping):
        register(cls)
