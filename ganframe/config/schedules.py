"""Schedules: settings that change over a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import (
    Discriminator,
    FiniteFloat,
    Tag,
)
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic.annotated_handlers import GetCoreSchemaHandler

from ganframe.config.component import Component

ComponentT = TypeVar("ComponentT", bound=Component)


class ScheduleConfig(Component):
    """A number that changes over a run, as a function of the images seen."""

    kind: ClassVar[str] = "schedule"

    def at(self, images: int, total: int) -> float:
        """Return the value after `images` of the `total` real examples of a run."""
        raise NotImplementedError

    def extremes(self) -> tuple[float, float]:
        """Return the lowest and the highest value of the schedule."""
        raise NotImplementedError


def _scheduled_tag(value: object) -> str:
    return "schedule" if isinstance(value, (ScheduleConfig, Mapping)) else "number"


Scheduled = Annotated[
    Annotated[FiniteFloat, Tag("number")] | Annotated[ScheduleConfig, Tag("schedule")],
    Discriminator(_scheduled_tag),
]
"""The type of a setting that is a number or a schedule."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of a setting that is a number or a schedule: `Annotated[Scheduled, Bounds(ge=0)]`.

    Attributes:
        ge: The lowest allowed value.
        gt: A bound that every value must be above.
        le: The highest allowed value.
        lt: A bound that every value must be below.
    """

    ge: float = -math.inf
    gt: float = -math.inf
    le: float = math.inf
    lt: float = math.inf

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check the bounds after pydantic has validated the number or schedule itself."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float | ScheduleConfig) -> float | ScheduleConfig:
        low, high = value.extremes() if isinstance(value, ScheduleConfig) else (value, value)
        if low < self.ge:
            raise ValueError(f"{low:g} is below {self.ge:g}")
        if low <= self.gt:
            raise ValueError(f"{low:g} is not above {self.gt:g}")
        if high > self.le:
            raise ValueError(f"{high:g} is above {self.le:g}")
        if high >= self.lt:
            raise ValueError(f"{high:g} is not below {self.lt:g}")
        return value


def value_at(scheduled: float | ScheduleConfig, images: int, total: int) -> float:
    """Return a number, or the value of a schedule after `images` of the `total` real examples of a run."""
    return scheduled.at(images, total) if isinstance(scheduled, ScheduleConfig) else scheduled


def scheduled_settings(config: Component) -> dict[str, ScheduleConfig]:
    """Return the schedules among the settings of a config, by the setting's name."""
    return {name: value for name, value in config if isinstance(value, ScheduleConfig)}


def fix_schedules(config: ComponentT, images: int, total: int) -> ComponentT:
    """Return a copy of a config, and of the components in its fields, with each schedule replaced by its value.

    Args:
        config: The config.
        images: Real examples seen, for the values of the schedules.
        total: Real examples of the whole run.
    """
    fixed: dict[str, Any] = {}
    for name, value in config:
        if isinstance(value, ScheduleConfig):
            fixed[name] = value.at(images, total)
        elif isinstance(value, Component):
            fixed[name] = fix_schedules(value, images, total)
    return config.model_copy(update=fixed)


def initial_value(scheduled: float | ScheduleConfig) -> float:
    """Return a number, or the value of a schedule at the start of a run. Use it in `build`.

    The object that `build` returns must have an attribute with the setting's name. Before each training step, the
    trainer sets that attribute to the value of the schedule.
    """
    return value_at(scheduled, 0, 1)
