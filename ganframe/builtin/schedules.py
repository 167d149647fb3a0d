"""Schedules: linear, cosine, piecewise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ganframe.config.schedules import ScheduleConfig
from ganframe.config.settings import Settings


class _Ramp(ScheduleConfig):
    start: float
    """Value before the ramp."""
    end: float
    """Value after the ramp."""
    after: int = Field(default=0, ge=0)
    """Images seen when the ramp begins."""
    images: int | None = Field(default=None, ge=1)
    """Images that the ramp takes; to the end of the run when left out."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"start": 1.0, "end": 0.0}

    def extremes(self) -> tuple[float, float]:
        """See base class."""
        return min(self.start, self.end), max(self.start, self.end)

    def progress(self, images: int, total: int) -> float:
        """How much of the ramp is done, in [0, 1]."""
        length = max(total - self.after, 1) if self.images is None else self.images
        return min(max((images - self.after) / length, 0.0), 1.0)


class Linear(_Ramp):
    """A straight line from `start` to `end`."""

    type: Literal["linear"] = "linear"

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return self.start + (self.end - self.start) * self.progress(images, total)


class Cosine(_Ramp):
    """Half a cosine from `start` to `end`."""

    paper = "Loshchilov and Hutter 2017, SGDR, eq. 5"
    type: Literal["cosine"] = "cosine"

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.progress(images, total))) / 2


class Step(Settings):
    """One step of a piecewise schedule."""

    images: int = Field(ge=0)
    """Images seen when the value begins to hold."""
    value: float
    """The value from then on."""


class Piecewise(ScheduleConfig):
    """A value that changes in steps."""

    type: Literal["piecewise"] = "piecewise"
    steps: tuple[Step, ...] = Field(min_length=1)
    """The steps, by rising `images`; the first must begin at 0."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"steps": [{"images": 0, "value": 1.0}, {"images": 500, "value": 0.1}]}

    @model_validator(mode="after")
    def _ordered(self) -> Piecewise:
        at = [step.images for step in self.steps]
        if at[0] != 0 or at != sorted(set(at)):
            raise ValueError(f"steps begin at 0 and rise, but stand at {at}")
        return self

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return [step.value for step in self.steps if step.images <= images][-1]

    def extremes(self) -> tuple[float, float]:
        """See base class."""
        values = [step.value for step in self.steps]
        return min(values), max(values)
