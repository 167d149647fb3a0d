"""Components inside other components, such as the losses that a composite loss sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

from ganframe.config.component import Component
from ganframe.config.settings import Settings
from ganframe.errors import ConfigPath


@dataclass(frozen=True)
class Nested:
    """A component that is a setting of something else, or an item of such a setting.

    Attributes:
        path: The place of the component, from the config that was searched.
        config: The component.
        parent: The component that holds this one; None if settings that are no component hold it.
    """

    path: ConfigPath
    config: Component
    parent: Component | None


def find_nested(settings: Settings) -> Iterator[Nested]:
    """Yield every component below some settings: in fields, tuples and mappings, and in other components."""
    yield from _find_nested(settings, (), None)


def _find_nested(value: object, path: ConfigPath, parent: Component | None) -> Iterator[Nested]:
    if isinstance(value, Component):
        if path:
            yield Nested(path, value, parent)
        parent = value
    if isinstance(value, Settings):
        children: list[tuple[Any, Any]] = list(value)
    elif isinstance(value, Mapping):
        children = list(cast(Mapping[Any, Any], value).items())
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        children = list(enumerate(cast(Sequence[Any], value)))
    else:
        return
    for key, child in children:
        yield from _find_nested(child, (*path, key), parent)
