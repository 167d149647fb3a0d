"""kind -> type -> config class: who supplies a type, what it may have been misspelt from, who would supply it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata

from ganframe.config.component import Component
from ganframe.config.kinds import KINDS
from ganframe.config.validation import with_article
from ganframe.plugins.first_party import PACKAGES


class Conflict(Exception):
    """Two packages register the same type of the same kind."""


@dataclass
class Registry:
    """The component types of the installed packages."""

    classes: dict[tuple[str, str], type[Component]] = field(default_factory=dict[tuple[str, str], type[Component]])
    aliases: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    packages: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def add(self, cls: type[Component], package: str) -> None:
        """Register a config class as supplied by a distribution.

        Raises:
            Conflict: When another class has the name already.
            TypeError: When the class is no concrete component config.
        """
        if not (issubclass(cls, KINDS) and cls.type_name()):
            raise TypeError(f"{cls!r} is no component config: it needs a base such as LossConfig and a `type` literal")
        name = cls.type_name()
        for each in (name, *cls.aliases):
            taken = self.packages.get((cls.kind, each))
            if taken is not None:
                raise Conflict(f"{cls.kind} {each!r} of {package} is already supplied by {taken}")
        for each in (name, *cls.aliases):
            self.aliases[cls.kind, each] = name
            self.packages[cls.kind, each] = package
        self.classes[cls.kind, name] = cls

    def copy(self) -> Registry:
        """A registry of its own with the same entries."""
        return Registry(dict(self.classes), dict(self.aliases), dict(self.packages))

    def find(self, kind: str, name: str) -> type[Component] | str:
        """The class for a type or alias; where there is none, a sentence that says what to do."""
        if (kind, name) in self.aliases:
            return self.classes[kind, self.aliases[kind, name]]
        if (kind, name) in PACKAGES:
            package = PACKAGES[kind, name]
            supplied = f"{kind} {name!r} is supplied by the package {package}"
            if any(metadata.distributions(name=package)):
                return f"{supplied}, which is installed but was not loaded; see `ganframe plugins`"
            return f"{supplied}: pip install {package}"
        others = [other for other, each in (*self.aliases, *PACKAGES) if each == name]
        if others:
            return f"{name!r} is {with_article(others[0])}, and {with_article(kind)} is needed here"
        known = self.types(kind)
        near = difflib.get_close_matches(name, [*known, *(n for k, n in (*self.aliases, *PACKAGES) if k == kind)], 1)
        if near:
            return f"unknown {kind} {name!r}; did you mean {near[0]!r}?"
        return f"unknown {kind} {name!r}; installed: {', '.join(known) or 'none'}"

    def types(self, kind: str) -> list[str]:
        """The canonical type names of a kind, sorted."""
        return sorted(name for k, name in self.classes if k == kind)

    def __iter__(self) -> Iterator[tuple[type[Component], str]]:
        """Every class with the package that supplies it, by kind, then by name."""
        for base in KINDS:
            for name in self.types(base.kind):
                yield self.classes[base.kind, name], self.packages[base.kind, name]
