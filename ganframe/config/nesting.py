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
    """A component inside other settings.

    Attributes:
        path: The path of the component, relative to the settings that were searched.
        config: The component.
        parent: The innermost component around this one; None if there is none.
    """

    path: ConfigPath
    config: Component
    parent: Component | None


def find_nested(settings: Settings) -> Iterator[Nested]:
    """Yield every component inside some settings, at any depth: in fields, tuples, mappings and other components."""
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
