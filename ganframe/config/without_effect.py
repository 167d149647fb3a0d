"""Settings that have no effect in a run, such as a term that begins after its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ganframe.config.settings import RunLength, Settings
from ganframe.errors import ConfigPath, dotted


def describe_without_effect(settings: Settings, length: RunLength) -> list[str]:
    """Return a sentence about each setting that has no effect in a run, at any depth; see `Settings.idle`.

    Args:
        settings: The config.
        length: The length of the run.
    """
    return [f"{dotted(path)} {reason}" for path, reason in _find(settings, (), length)]


def _find(value: object, path: ConfigPath, length: RunLength) -> Iterator[tuple[ConfigPath, str]]:
    children: list[tuple[Any, Any]] = []
    if isinstance(value, Settings):
        yield from (((*path, name), reason) for name, reason in value.idle(length).items())
        children = list(value)
    elif isinstance(value, Mapping):
        children = list(cast(Mapping[Any, Any], value).items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        children = list(enumerate(cast(Sequence[Any], value)))
    for key, child in children:
        yield from _find(child, (*path, key), length)
