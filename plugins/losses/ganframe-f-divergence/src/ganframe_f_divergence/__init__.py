"""Losses whose discriminator estimates an f-divergence D_f(p || q) = E_q f(p/q) of data p and samples q."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import override

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss

PAPER = "Nowozin et al. 2016, arXiv:1606.00709"


class FDivergence(LossConfig):
    """Base of the losses: the discriminator maximises E_p[T] - E_q[f*(T)] <= D_f(p || q).

    T = g(v) for raw outputs v, where g maps onto the domain of the conjugate f*. `decision_threshold` is the v at
    which g(v) = f'(1), where p = q.
    """

    paper = f"{PAPER}, eq. 6, tables 1 and 2"
    non_saturating: bool = False
    """Let the generator minimise -E_q[T] (section 3.2 of the paper) instead of -E_q[f*(T)] (eq. 6)."""


class TotalVariation(FDivergence):
    """Total variation: f(u) = |u - 1| / 2."""

    type: Literal["total-variation"] = "total-variation"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import TotalVariationLoss

        return TotalVariationLoss(self.non_saturating)


class KL(FDivergence):
    """Kullback-Leibler divergence KL(p || q): f(u) = u ln u."""

    type: Literal["kl"] = "kl"
    decision_threshold = 1.0

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import KLLoss

        return KLLoss(self.non_saturating)


class ReverseKL(FDivergence):
    """Reverse Kullback-Leibler divergence KL(q || p): f(u) = -ln u."""

    type: Literal["reverse-kl"] = "reverse-kl"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import ReverseKLLoss

        return ReverseKLLoss(self.non_saturating)


class Pearson(FDivergence):
    """Pearson chi-squared divergence: f(u) = (u - 1)^2."""

    type: Literal["pearson"] = "pearson"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import PearsonLoss

        return PearsonLoss(self.non_saturating)


class Neyman(FDivergence):
    """Neyman chi-squared divergence: f(u) = (1 - u)^2 / u."""

    type: Literal["neyman"] = "neyman"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import NeymanLoss

        return NeymanLoss(self.non_saturating)


class SquaredHellinger(FDivergence):
    """Squared Hellinger distance: f(u) = (sqrt u - 1)^2."""

    type: Literal["squared-hellinger"] = "squared-hellinger"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import SquaredHellingerLoss

        return SquaredHellingerLoss(self.non_saturating)


class Jeffrey(FDivergence):
    """Jeffrey's divergence KL(p || q) + KL(q || p): f(u) = (u - 1) ln u."""

    type: Literal["jeffrey"] = "jeffrey"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import JeffreyLoss

        return JeffreyLoss(self.non_saturating)


class JensenShannon(FDivergence):
    """Twice the Jensen-Shannon divergence: f(u) = u ln u - (u + 1) ln((u + 1) / 2)."""

    type: Literal["jensen-shannon"] = "jensen-shannon"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import JensenShannonLoss

        return JensenShannonLoss(self.non_saturating)


class WeightedJensenShannon(FDivergence):
    """Weighted Jensen-Shannon divergence: pi KL(p || m) + (1 - pi) KL(q || m) with m = pi p + (1 - pi) q."""

    type: Literal["weighted-jensen-shannon"] = "weighted-jensen-shannon"
    pi: float = Field(default=0.5, gt=0, lt=1)
    """Share of the data in the mixture (the paper's pi), between 0 and 1."""

    @property
    def decision_threshold(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The raw output at which p = q."""
        return -math.log(math.expm1(-self.pi * math.log(self.pi)))

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import WeightedJensenShannonLoss

        return WeightedJensenShannonLoss(self.pi, self.non_saturating)


class FGAN(FDivergence):
    """The divergence of the original GAN, 2 JSD - 2 ln 2: f(u) = u ln u - (u + 1) ln(u + 1)."""

    type: Literal["f-gan"] = "f-gan"

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import FGANLoss

        return FGANLoss(self.non_saturating)


def _neither_0_nor_1(alpha: float) -> float:
    if alpha in (0, 1):
        limit = "kl" if alpha == 1 else "reverse-kl"
        raise ValueError(f"the formula divides by 0 where alpha is {alpha:g}; its limit there is the loss {limit!r}")
    return alpha


class Alpha(FDivergence):
    """Alpha divergence: f(u) = (u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1))."""

    type: Literal["alpha"] = "alpha"
    alpha: Annotated[FiniteFloat, AfterValidator(_neither_0_nor_1)] = 0.5
    """Any number but 0 and 1, at which the limits are `reverse-kl` and `kl`. 2 is half of `pearson`, -1 half of
    `neyman`, 0.5 twice `squared-hellinger`."""

    @property
    def decision_threshold(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The raw output at which p = q."""
        if self.alpha > 1:
            return 0.0
        at = 1 / (1 - self.alpha)  # softplus(-v) at the threshold
        return -at - math.log(-math.expm1(-at))

    @override
    def build(self) -> Loss:
        from ganframe_f_divergence.losses import AlphaAboveOne, AlphaBelowOne

        live = AlphaAboveOne if self.alpha > 1 else AlphaBelowOne
        return live(self.alpha, self.non_saturating)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register a loss for each divergence."""
    for cls in (
        TotalVariation,
        KL,
        ReverseKL,
        Pearson,
        Neyman,
        SquaredHellinger,
        Jeffrey,
        JensenShannon,
        WeightedJensenShannon,
        FGAN,
        Alpha,
    ):
        register(cls)
