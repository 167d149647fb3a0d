"""The losses of the original GAN. The two have the same discriminator's loss and different generator's losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Loss


class Minimax(LossConfig):
    """The generator minimises E log(1 - D(G(z))): exact, but its gradient vanishes when fakes are recognised."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, eq. 1"
    type: Literal["minimax"] = "minimax"

    @override
    def build(self) -> Loss:
        from ganframe_minimax.losses import MinimaxLoss

        return MinimaxLoss()


class NonSaturating(LossConfig):
    """The generator minimises -E log D(G(z)): a strong gradient when fakes are recognised."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, section 3"
    type: Literal["non-saturating"] = "non-saturating"
    aliases = ("vanilla", "logistic")

    @override
    def build(self) -> Loss:
        from ganframe_minimax.losses import NonSaturatingLoss

        return NonSaturatingLoss()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both losses."""
    register(Minimax)
    register(NonSaturating)
