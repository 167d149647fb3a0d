"""Gradient penalties: R1 on reals, R2 on fakes, 0-GP between them, DRAGAN around reals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import override

from ganframe.config import Bounds, Component, RegularizerConfig, Scheduled, hookimpl, initial_value

if TYPE_CHECKING:
    from ganframe.game import Regularizer


class R1(RegularizerConfig):
    """Keeps the discriminator flat on reals: 1/2 E||grad C(x)||^2."""

    paper = "Mescheder et al. 2018, arXiv:1801.04406, eq. 9"
    type: Literal["r1"] = "r1"
    side = "discriminator"
    zero_when = "discriminator is constant"
    grad_wrt_sides = frozenset({"real"})
    weight: Scheduled = 1.0
    """The paper's gamma, a number or a schedule. The factor 1/2 is part of the penalty."""

    @override
    def build(self) -> Regularizer:
        from ganframe_gradient_penalties.penalties import ZeroCenteredPenalty

        return ZeroCenteredPenalty("real")


class R2(RegularizerConfig):
    """Keeps the discriminator flat on fakes: 1/2 E||grad C(G(z))||^2."""

    paper = "Mescheder et al. 2018, arXiv:1801.04406, eq. 10"
    type: Literal["r2"] = "r2"
    side = "discriminator"
    zero_when = "discriminator is constant"
    grad_wrt_sides = frozenset({"fake"})
    weight: Scheduled = 1.0
    """The paper's gamma, a number or a schedule. The factor 1/2 is part of the penalty."""

    @override
    def build(self) -> Regularizer:
        from ganframe_gradient_penalties.penalties import ZeroCenteredPenalty

        return ZeroCenteredPenalty("fake")


class ZeroCentred(RegularizerConfig):
    """Keeps the discriminator flat between reals and fakes: E||grad C||^2 at random points on their lines."""

    paper = "Thanh-Tung et al. 2019, arXiv:1902.03984"
    type: Literal["zero-centred-gradient-penalty"] = "zero-centred-gradient-penalty"
    aliases = ("0-gp",)
    side = "discriminator"
    zero_when = "discriminator is constant"
    needs_double_backward = True
    weight: Scheduled = 10.0
    """Factor of the mean squared norm (the paper's lambda); a number or a schedule."""

    @override
    def build(self) -> Regularizer:
        from ganframe_gradient_penalties.points import ZeroCenteredInterpolates

        return ZeroCenteredInterpolates()


class DRAGAN(RegularizerConfig):
    """Pulls the norm of the discriminator's gradient towards 1 around reals: E(||grad C(x + noise)|| - 1)^2."""

    paper = "Kodali et al. 2017, arXiv:1705.07215; the points are those of the authors' code"
    type: Literal["dragan"] = "dragan"
    side = "discriminator"
    zero_when = "discriminator gradient has norm one"
    needs_double_backward = True
    weight: Scheduled = 10.0
    """Factor of the penalty (the paper's lambda); a number or a schedule."""
    spread: Annotated[Scheduled, Bounds(ge=0)] = 0.5
    """Largest noise, in standard deviations of all numbers of the batch of reals; a number or a schedule. Points lie a
    random share of the way from the reals to the noisy reals."""

    @override
    def build(self) -> Regularizer:
        from ganframe_gradient_penalties.points import DraganPenalty

        return DraganPenalty(initial_value(self.spread))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the penalties."""
    for cls in (R1, R2, ZeroCentred, DRAGAN):
        register(cls)
