"""The least-squares loss: the discriminator regresses to 1 on reals and to 0 on fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss


class LeastSquares(LossConfig):
    """Half the squared distance of C to 1 for reals and to 0 for fakes; the generator wants 1."""

    paper = "Mao et al. 2017, arXiv:1611.04076, eq. 2 with a = 0, b = c = 1 (eq. 9)"
    type: Literal["least-squares"] = "least-squares"
    aliases = ("lsgan",)
    decision_threshold = 0.5

    @override
    def build(self) -> Loss:
        from ganframe_least_squares.losses import LeastSquaresLoss

        return LeastSquaresLoss()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the loss."""
    register(LeastSquares)
