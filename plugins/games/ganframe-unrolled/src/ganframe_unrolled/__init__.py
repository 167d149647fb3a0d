"""Unrolled discriminators: generators minimise their loss against discriminators that have taken more steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganframe.config import (
    BadInput,
    Bounds,
    Component,
    DataSpec,
    GameConfig,
    Scheduled,
    hookimpl,
    initial_value,
    within,
)

if TYPE_CHECKING:
    from ganframe.game import Game


class UnrolledGame(GameConfig):
    """Any other game, in which generators look k gradient steps of the discriminators ahead."""

    paper = "Metz et al. 2017, arXiv:1611.02163, eq. 7 to 9"
    type: Literal["unrolled"] = "unrolled"
    of: GameConfig
    """The game to play."""
    steps: int = Field(default=5, ge=0)
    """Number of unrolled steps (the paper's k); 0 is the game itself, bit for bit."""
    lr: Annotated[Scheduled, Bounds(ge=0)] = 0.01
    """Learning rate of the unrolled steps, which are plain gradient descent (the paper's eta)."""

    def build(self, data: DataSpec) -> Game:
        """Build the game.

        Raises:
            BadInput: When the data lacks a tensor that the game needs, when the game has no contest, or when its turns
                share a round. In a shared round, fakes have no graph in the unrolled steps.
        """
        from ganframe_unrolled.game import unroll

        for path, config in ((("share_round",), self), (("of", "share_round"), self.of)):
            if config.share_round:
                message = "the unrolled steps need a round of their own, so turns cannot share one"
                raise BadInput(message, path=path, remedy="Leave it out.")
        with within("of"):
            game = self.of.build(data)
        if not game.contests:
            raise BadInput(f"{self.of.type_name()!r} has no contest, so no discriminator to unroll", path=("of",))
        return unroll(game, self.of, self.steps, initial_value(self.lr))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the game."""
    register(UnrolledGame)
