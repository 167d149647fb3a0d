"""Scheduled settings of live components: attributes that are set before each step."""

from __future__ import annotations

from collections.abc import Iterable

from ganframe.config.component import Component
from ganframe.config.schedules import ScheduleConfig, scheduled_settings


class ScheduledSettings:
    """Updates, before each step, the attributes of built objects whose settings follow a schedule.

    The weights of terms are left alone: the objective applies them.

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
        """Set every attribute to its value after `images` of `total` images."""
        for live, name, schedule in self._settings:
            setattr(live, name, schedule.at(images, total))
