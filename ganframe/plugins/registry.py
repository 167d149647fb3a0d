"""The registry of component types: the config class of each type, and the package that supplies it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal, get_args, get_origin

from ganframe.config.component import Component
from ganframe.config.component_kinds import KINDS
from ganframe.config.validation_errors import with_article
from ganframe.plugins.first_party import PACKAGES


class NameTaken(Exception):
    """The error when two packages register the same type of the same kind, or the same preset."""


@dataclass
class Registry:
    """The component types of the installed packages.

    Attributes:
        classes: The config classes, by kind and type name.
        aliases: The type names, by kind and a name that configs may use: an alias, or the type name itself.
        packages: The distributions that supply the types, by the same keys as `aliases`.
    """

    classes: dict[tuple[str, str], type[Component]] = field(default_factory=dict[tuple[str, str], type[Component]])
    aliases: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    packages: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def add(self, cls: type[Component], package: str) -> None:
        """Register a config class that the distribution `package` supplies.

        Raises:
            NameTaken: When the type name or an alias is registered already for the same kind.
            TypeError: When the class has no `type` literal, or is not a config of a known kind.
        """
        given: Any = cls
        if not (isinstance(given, type) and issubclass(given, KINDS) and cls.type_name()):
            raise TypeError(
                f"{cls!r} is not a component config: it needs a base such as LossConfig and a `type` literal"
            )
        _check_type(cls)
        name = cls.type_name()
        for alias in (name, *cls.aliases):
            owner = self.packages.get((cls.kind, alias))
            if owner is not None:
                raise NameTaken(f"{cls.kind} {alias!r} of {package} is already supplied by {owner}")
        for alias in (name, *cls.aliases):
            self.aliases[cls.kind, alias] = name
            self.packages[cls.kind, alias] = package
        self.classes[cls.kind, name] = cls

    def copy(self) -> Registry:
        """Return a copy of the registry."""
        return Registry(dict(self.classes), dict(self.aliases), dict(self.packages))

    def find(self, kind: str, name: str) -> type[Component] | str:
        """Return the config class with this type name or alias; if there is none, an error message with a remedy.

        The remedy is the first-party package to install, or a similar name.
        """
        if (kind, name) in self.aliases:
            return self.classes[kind, self.aliases[kind, name]]
        if (kind, name) in PACKAGES:
            package = PACKAGES[kind, name]
            supplied = f"{kind} {name!r} is supplied by the package {package}"
            if any(metadata.distributions(name=package)):
                return f"{supplied}, which is installed but was not loaded; see `ganframe plugins`"
            return f"{supplied}: pip install {package}"
        other_kinds = [other for other, type_name in (*self.aliases, *PACKAGES) if type_name == name]
        if other_kinds:
            return f"{name!r} is {with_article(other_kinds[0])}, and {with_article(kind)} is needed here"
        known = self.types(kind)
        candidates = [*known, *(type_name for other, type_name in (*self.aliases, *PACKAGES) if other == kind)]
        close = difflib.get_close_matches(name, candidates, 1)
        if close:
            return f"unknown {kind} {name!r}; did you mean {close[0]!r}?"
        return f"unknown {kind} {name!r}; installed: {', '.join(known) or 'none'}"

    def types(self, kind: str) -> list[str]:
        """Return the type names of a kind, without aliases, sorted."""
        return sorted(name for other, name in self.classes if other == kind)

    def __iter__(self) -> Iterator[tuple[type[Component], str]]:
        """Yield every config class with the package that supplies it, by kind, then by name."""
        for base in KINDS:
            for name in self.types(base.kind):
                yield self.classes[base.kind, name], self.packages[base.kind, name]


def _check_type(cls: type[Component]) -> None:
    """Refuse a config class unless its `type` is a `Literal` and the default is one of its values.

    Raises:
        TypeError: When it is refused. The error names the class.
    """
    field = cls.__pydantic_fields__["type"]
    names = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if not isinstance(field.default, str) or field.default not in names:
        example = field.default if isinstance(field.default, str) else "my-type"
        raise TypeError(f'`type` of {cls.__qualname__} has to be a literal: `type: Literal["{example}"] = "{example}"`')
