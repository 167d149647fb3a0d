"""How far a run is, on which schedules and intervals depend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is when a turn is taken.

    Attributes:
        turn_count: How often this turn was taken before.
        images: Real examples seen before this step.
        total: Real examples of the whole run.
    """

    turn_count: int
    images: int
    total: int
