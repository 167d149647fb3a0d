"""Turns: the optimizer steps of a game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganframe.config.component_kinds import TurnConditionConfig


@dataclass(frozen=True)
class Turn:
    """One optimizer step of some players, while the others are frozen.

    Attributes:
        name: The name of the turn in configs and logs.
        players: Names of the players that train.
        repeats: How often the turn is taken in a step, each time on a new batch.
        condition: A rule that decides in each step whether the turn is taken; if None, it always is. The config of a
            run may replace it.
    """

    name: str
    players: tuple[str, ...]
    repeats: int = 1
    condition: TurnConditionConfig | None = None
