"""Scheduled settings of live objects: attributes that are set before each step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ganframe.config.component import Component
from ganframe.config.schedules import scheduled_settings
from ganframe.config.terms import TermConfig


class Schedule(Protocol):
    """A number that changes over a run."""

    def at(self, images: int, total: int) -> float:
        """Return the value after `images` of the `total` real examples of a run were seen."""
        ...


class ScheduledSettings:
    """Sets the attributes of live objects whose settings follow a schedule, before each step and before sampling.

    Args:
        components: Pairs of a config and the object that was built from it. The weights of terms among them are left
            out, because the objective applies them.
        nested: Pairs that such objects hand over in their attribute `nested`. The weight of a nested term is set like
            any other attribute, because the component around the term applies it.

    Raises:
        TypeError: When an object has no attribute with the name of a scheduled setting.
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
        """Let an attribute follow a schedule.

        Raises:
            TypeError: When the object has no such attribute.
        """
        if not hasattr(live, name):
            raise TypeError(f"{type(live).__qualname__} has no attribute {name!r}, which its config schedules")
        self._settings.append((live, name, schedule))

    def apply(self, images: int, total: int) -> None:
        """Set every attribute to the value of its schedule once `images` of `total` real examples were seen."""
        for live, name, schedule in self._settings:
            setattr(live, name, schedule.at(images, total))
