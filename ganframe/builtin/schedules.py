"""Schedules: linear, cosine, piecewise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from ganframe.config.schedules import ScheduleConfig
from ganframe.config.settings import RunLength, Settings


class _Ramp(ScheduleConfig):
    renamed: ClassVar[Mapping[str, str]] = {"images": "duration_images", "after": "after_images"}

    start: float
    """Value before the ramp."""
    end: float
    """Value after the ramp."""
    after_images: int = Field(default=0, ge=0)
    """Images seen when the ramp begins."""
    duration_images: int | None = Field(default=None, ge=1)
    """Number of images seen during the ramp. If left out, the ramp lasts until the end of the run."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"start": 1.0, "end": 0.0}

    @override
    def extremes(self) -> tuple[float, float]:
        return min(self.start, self.end), max(self.start, self.end)

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the setting `after_images`, with the reason, if the ramp never begins."""
        if self.after_images < length.images or self.start == self.end:
            return {}
        return {"after_images": f"lies beyond the end of the run, {length.images:,}, so the ramp never begins"}

    def progress(self, images: int, total: int) -> float:
        """Return the completed share of the ramp, in [0, 1], after `images` of the `total` real examples of a run."""
        length = max(total - self.after_images, 1) if self.duration_images is None else self.duration_images
        return min(max((images - self.after_images) / length, 0.0), 1.0)


class Linear(_Ramp):
    """A straight line from `start` to `end`."""

    type: Literal["linear"] = "linear"

    @override
    def at(self, images: int, total: int) -> float:
        return self.start + (self.end - self.start) * self.progress(images, total)


class Cosine(_Ramp):
    """Half a period of a cosine from `start` to `end`."""

    paper = "Loshchilov and Hutter 2017, SGDR, eq. 5"
    type: Literal["cosine"] = "cosine"

    @override
    def at(self, images: int, total: int) -> float:
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.progress(images, total))) / 2


class Step(Settings):
    """One constant piece of a piecewise schedule."""

    renamed: ClassVar[Mapping[str, str]] = {"images": "after_images"}

    after_images: int = Field(ge=0)
    """Images seen when the piece begins."""
    value: float
    """The value of the setting from then on."""

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the setting `after_images`, with the reason, if the piece never begins."""
        if self.after_images < length.images:
            return {}
        return {"after_images": f"lies beyond the end of the run, {length.images:,}, so the value never holds"}


class Piecewise(ScheduleConfig):
    """A piecewise constant value, which changes at given numbers of images seen."""

    type: Literal["piecewise"] = "piecewise"
    steps: tuple[Step, ...] = Field(min_length=1)
    """The constant pieces. Their `after_images` must start at 0 and rise."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"steps": [{"after_images": 0, "value": 1.0}, {"after_images": 500, "value": 0.1}]}

    @model_validator(mode="after")
    def _check_order(self) -> Piecewise:
        starts = [step.after_images for step in self.steps]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"the `after_images` of steps must start at 0 and rise, but are {starts}")
        return self

    @override
    def at(self, images: int, total: int) -> float:
        return [step.value for step in self.steps if step.after_images <= images][-1]

    @override
    def extremes(self) -> tuple[float, float]:
        values = [step.value for step in self.steps]
        return min(values), max(values)
