"""The lookup of installed components and presets by configs.

`ganframe.plugins`, which finds what is installed, imports the modules of configs, so these cannot import it. Instead,
the package `ganframe` sets `find_installed` to a function of `ganframe.plugins` when it is imported.
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
        """The file of each preset and the package that supplies it, by the preset's name."""
        ...

    def find_type(self, kind: str, name: str) -> type[Component] | str:
        """Return the config class with this type name or alias; if there is none, an error message with a remedy."""
        ...

    def type_names(self, kind: str) -> Sequence[str]:
        """Return the type names of a kind, without aliases, sorted."""
        ...

    def types(self) -> Iterator[tuple[type[Component], str]]:
        """Yield every config class with the package that supplies it."""
        ...

    def broken_packages(self) -> Sequence[str]:
        """Return the names of the packages whose plugins cannot be loaded."""
        ...


find_installed: Callable[[], InstalledComponents]
"""A function that returns the installed components and presets; set when `ganframe` is imported."""
