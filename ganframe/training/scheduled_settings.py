"""Scheduled settings of live objects: attributes that are set before each step."""

from __future__ import annotations

from collections.abc import Iterable

from ganframe.config.component import Component
from ganframe.config.schedules import ScheduleConfig, scheduled_settings


class ScheduledSettings:
    """Sets the attributes of live objects whose settings follow a schedule, before each step.

    The weights of terms are left out, because the objective reads their schedules itself.

    Args:
        components: Pairs of a config and the object that was built from it.

    Raises:
        TypeError: When an object has no attribute with the name of a scheduled setting.
    """

    def __init__(self, components: Iterable[tuple[Component, object]]) -> None:
        self._settings: list[tuple[object, str, ScheduleConfig]] = []
        for config, live in components:
            for name, schedule in scheduled_settings(config).items():
                if name == "weight":
                    continue
                if not hasattr(live, name):
                    raise TypeError(f"{type(live).__qualname__} has no attribute {name!r}, which its config schedules")
                self._settings.append((live, name, schedule))

    def apply(self, images: int, total: int) -> None:
        """Set every attribute to the value of its schedule once `images` of `total` real examples were seen."""
        for live, name, schedule in self._settings:
            setattr(live, name, schedule.at(images, total))
