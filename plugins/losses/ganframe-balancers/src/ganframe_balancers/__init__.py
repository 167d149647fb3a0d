"""Balancers: weights of terms that follow from the gradients of the terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import BadInput, BalancerConfig, Component, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Game


class AdaptiveWeight(BalancerConfig):
    """The adversarial terms are weighed so that their gradient is as large as that of the reconstruction terms.

    The weight of each term in `terms` is multiplied by

        lambda = clamp(||grad L_rec|| / (||grad L_adv|| + delta), 0, max)

    where L_adv is the weighted sum of `terms` and L_rec is that of `reference_terms`. The gradients are those at the
    last layer of the decoder.
    """

    paper = "Esser et al. 2021, arXiv:2012.09841, eq. 7"
    type: Literal["adaptive-weight"] = "adaptive-weight"
    reference_terms: tuple[str, ...] = Field(min_length=1)
    """Names of the reconstruction terms."""
    delta: float = Field(default=1e-4, gt=0)
    """Added to the norm of the adversarial gradient; 1e-6 in the paper, 1e-4 in its code."""
    max: float = Field(default=1e4, gt=0)
    """The largest factor."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"at": "fake", "terms": ["a"], "reference_terms": ["b", "c"]}

    @override
    def gradient_terms(self) -> tuple[str, ...]:
        return (*self.terms, *self.reference_terms)

    @override
    def build(self) -> nn.Module:
        from ganframe_balancers.balancers import AdaptiveWeightBalancer

        return AdaptiveWeightBalancer(self)


class GradientBalancer(BalancerConfig):
    """Each term gets its share of the gradient at the generator's output, whatever the size of the term.

    With g_i the gradient of term i for an example and w_i the term's own weight, the terms' new weights are

        total_norm * (w_i / sum_j w_j) / EMA(mean over the batch of ||g_i||)

    so that the weights of the config say which share of the gradient each term has.
    """

    paper = "Defossez et al. 2022, arXiv:2210.13438, section 3.4, eq. 5"
    type: Literal["gradient-balancer"] = "gradient-balancer"
    total_norm: float = Field(default=1.0, gt=0)
    """Norm of the sum of the shares for an example (the paper's R)."""
    decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of each term's norm. The average has no bias towards 0 in the first steps."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"at": "fake", "terms": ["a", "b"]}

    @override
    def check(self, game: Game) -> None:
        if self.at not in game.names:
            message = f"{self.at!r} is no named tensor, and this balancer reads a gradient for each example"
            raise BadInput(message, path=("at",), remedy=f"Name one of: {', '.join(game.names)}.")

    @override
    def build(self) -> nn.Module:
        from ganframe_balancers.balancers import NormBalancer

        return NormBalancer(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both balancers."""
    register(AdaptiveWeight)
    register(GradientBalancer)
