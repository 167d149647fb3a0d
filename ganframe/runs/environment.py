"""The versions of the software that the results of a run may depend on."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from pydantic import TypeAdapter

from ganframe.plugins.discovery import CORE, installed

Environment = dict[str, str | dict[str, str]]
ENVIRONMENT: TypeAdapter[Environment] = TypeAdapter(Environment)


def version_changes(before: Environment, now: Environment) -> list[str]:
    """Describe each difference in versions, except the platform: "torch 2.8.0 instead of 2.7.1"."""
    older, newer = _flatten(before), _flatten(now)
    return [
        f"{name} {newer.get(name, 'not installed')} instead of {older.get(name, 'not installed')}"
        for name in dict.fromkeys([*older, *newer])
        if older.get(name) != newer.get(name)
    ]


def _flatten(versions: Environment) -> dict[str, str]:
    flat = dict[str, str]()
    for name, value in versions.items():
        if name != "platform":
            flat |= {name: value} if isinstance(value, str) else value
    return flat


def environment() -> Environment:
    """Return the versions of ganframe, Python, the platform, the libraries and the plugins."""
    libraries = ("torch", "numpy", "pydantic", "safetensors")
    return {
        "ganframe": metadata.version("ganframe"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in libraries},
        "plugins": {
            plugin.package: plugin.version for plugin in installed().plugins if plugin.version and plugin.name != CORE
        },
    }
