"""The installed components and presets, as configs ask for it.

Configs stand below the plugin host. When `ganframe` is imported, the host hands in the function that finds what is
installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ganframe.config.component import Component


class InstalledComponents(Protocol):
    """The installed component types and presets."""

    @property
    def presets(self) -> Mapping[str, tuple[Path, str]]:
        """The file and the package of each preset, by name."""
        ...

    def find_type(self, kind: str, name: str) -> type[Component] | str:
        """Return the config class of a type or alias; where there is none, a sentence that says what to do."""
        ...

    def type_names(self, kind: str) -> Sequence[str]:
        """Return the type names of a kind, sorted."""
        ...

    def types(self) -> Iterator[tuple[type[Component], str]]:
        """Yield every config class with the package that supplies it."""
        ...

    def broken_packages(self) -> Sequence[str]:
        """Return the packages of plugins that cannot be loaded."""
        ...


find_installed: Callable[[], InstalledComponents]
"""Finds what is installed; set when `ganframe` is imported."""
