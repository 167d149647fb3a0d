"""Turns: the optimizer steps of a game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Turn:
    """One optimizer step of some players; the others are frozen meanwhile.

    Attributes:
        name: How configs call the turn.
        moves: The players who move.
        repeats: How often the turn is taken in a step, each time on a batch of its own.
    """

    name: str
    players: tuple[str, ...]
    repeats: int = 1
