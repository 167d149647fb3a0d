"""The progress of a run, on which schedules and the intervals of lazy terms depend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a run at the start of a turn (optimizer step).

    Attributes:
        turn_count: How often this turn was taken so far.
        images: Number of real examples seen before this step.
        total: Number of real examples that the whole run sees.
    """

    turn_count: int
    images: int
    total: int
