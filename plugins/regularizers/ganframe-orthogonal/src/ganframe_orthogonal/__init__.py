"""Orthogonal regularisation: the filters of a layer should point in different directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from ganframe.config import BadInput, Component, RegularizerConfig, Scheduled, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Game, Regularizer


class Orthogonal(RegularizerConfig):
    """Pulls the filters of each layer towards right angles: ||W^T W * (1 - I)||_F^2, a filter in each column of W."""

    paper = "Brock et al. 2019, arXiv:1809.11096, eq. 3; with norms: Brock et al. 2017, arXiv:1609.07093"
    type: Literal["orthogonal"] = "orthogonal"
    side = "both"
    weight: Scheduled = 1e-4
    """Factor of the penalty (beta in eq. 3); a number or a schedule."""
    players: tuple[str, ...] | None = None
    """Names of the players that the term applies to, in the turns in which they train; all players when left out."""
    norms: bool = False
    """Also pull each filter towards length 1: ||W^T W - I||_F^2, as in Brock et al. 2017."""

    @override
    def check(self, game: Game) -> None:
        players = game.player_specs()
        for name in self.players or ():
            if name not in players:
                message = f"the game has no player {name!r}; it has: {', '.join(players)}"
                raise BadInput(message, path=("players",))

    @override
    def build(self) -> Regularizer:
        from ganframe_orthogonal.penalty import OrthogonalPenalty

        return OrthogonalPenalty(self.players, self.norms)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer."""
    register(Orthogonal)
