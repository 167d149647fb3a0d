"""Unrolled discriminators: generators minimise their loss against the discriminator that is yet to come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganframe.config import BadInput, Bounds, Component, GameConfig, Scheduled, hookimpl, initial_value, within

if TYPE_CHECKING:
    from ganframe.config import DataSpec
    from ganframe.game import Game


class UnrolledGame(GameConfig):
    """Any other game, in which generators foresee k gradient steps of the discriminators."""

    paper = "Metz et al. 2017, arXiv:1611.02163, eq. 7 to 9"
    type: Literal["unrolled"] = "unrolled"
    of: GameConfig
    """The game to play."""
    steps: int = Field(default=5, ge=0)
    """Steps to foresee (the paper's k); 0 is the game as it was, bit for bit."""
    lr: Annotated[Scheduled, Bounds(ge=0)] = 0.01
    """Learning rate of the foreseen steps, which are plain gradient descent (the paper's eta)."""

    def build(self, data: DataSpec) -> Game:
        """See base class.

        Raises:
            BadInput: Also when the turns of the game are to share a round, whose fakes have no graph for the foreseen
                steps.
        """
        from ganframe_unrolled.game import unroll  # noqa: PLC0415  configs stay free of torch

        for path, config in ((("share_round",), self), (("of", "share_round"), self.of)):
            if config.share_round:
                message = "the foreseen steps need a round of their own, so turns cannot share one"
                raise BadInput(message, path=path, remedy="Leave it out.")
        with within("of"):
            game = self.of.build(data)
        if not game.contests:
            raise BadInput(f"{self.of.type_name()!r} has no contest, so no discriminator to foresee", path=("of",))
        return unroll(game, self.steps, initial_value(self.lr))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the game."""
    register(UnrolledGame)
