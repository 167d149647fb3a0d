"""Scheduled settings: attributes of objects that are set before each training step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ganframe.config.component import Component
from ganframe.config.schedules import scheduled_settings
from ganframe.config.terms import TermConfig


class Schedule(Protocol):
    """A number that changes over a run."""

    def at(self, images: int, total: int) -> float:
        """Return the value after `images` of the `total` real examples of a run."""
        ...


class ScheduledSettings:
    """The attributes of objects that follow a schedule. They are set before each step and before sampling.

    Args:
        components: Pairs of a config and the object that was built from it. Weights of terms are left out, because the
            objective applies them.
        nested: Pairs that such objects list in their attribute `nested`. Here weights of terms are set like any other
            attribute, because the object around the term applies them.

    Raises:
        TypeError: When an object lacks an attribute with the name of a scheduled setting.
    """

    def __init__(
        self, components: Iterable[tuple[Component, object]], nested: Iterable[tuple[Component, object]] = ()
    ) -> None:
        self._settings: list[tuple[object, str, Schedule]] = []
        for config, live in components:
            for name, schedule in scheduled_settings(config).items():
                if not (name == "weight" and isinstance(config, TermConfig)):
                    self.add(live, name, schedule)
        for config, live in nested:
            for name, schedule in scheduled_settings(config).items():
                self.add(live, name, schedule)

    def add(self, live: object, name: str, schedule: Schedule) -> None:
        """Let the attribute `name` of an object follow a schedule.

        Raises:
            TypeError: When the object lacks the attribute.
        """
        if not hasattr(live, name):
            raise TypeError(f"{type(live).__qualname__} has no attribute {name!r}, which its config schedules")
        self._settings.append((live, name, schedule))

    def apply(self, images: int, total: int) -> None:
        """Set every scheduled attribute to its value after `images` of the `total` real examples of a run."""
        for live, name, schedule in self._settings:
            setattr(live, name, schedule.at(images, total))
