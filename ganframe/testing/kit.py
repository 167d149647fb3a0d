"""The conformance kit: collecting and running the checks of the components of a package."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganframe.config.component import Component
from ganframe.errors import BadInput
from ganframe.plugins.discovery import installed
from ganframe.testing import components, data, games, networks, terms, turns
from ganframe.testing.fakes import example_config

MODULES = (components, networks, terms, games, data, turns)


@dataclass(frozen=True)
class Check:
    """One check of one component.

    Attributes:
        name: The kind and type of the component, and the title of the check: `loss hinge: float64 gradcheck`.
        run: Runs the check. It raises AssertionError if the check fails, or the exception of the component.
    """

    name: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        name: The name of the check.
        error: The type and message of the exception; None if the check passed.
    """

    name: str
    error: str | None


def checks(package: str) -> Iterator[Check]:
    """Yield every check of every component that a package registers, without running it.

    Args:
        package: The name of an installed distribution (`my-gan`) or of its module (`my_gan`).

    Raises:
        BadInput: When the package cannot be loaded or does not register a component.
    """
    for plugin in installed().plugins:
        if plugin.error and package in (plugin.package, plugin.module):
            raise BadInput(f"this plugin cannot be loaded: {plugin.error}", place=plugin.package)
    module = package.replace("-", "_")
    found = [
        cls
        for cls, owner in installed().registry
        if package == owner or module == cls.__module__.split(".", maxsplit=1)[0]
    ]
    if not found:
        raise BadInput(f"{package!r} registers no component", remedy="Is it installed? `ganframe plugins` lists all.")
    for cls in found:
        for module in MODULES:
            for kind, by_title in module.CHECKS.items():
                if kind in (cls.kind, "every kind"):
                    for title, check in by_title.items():
                        yield Check(f"{cls.kind} {cls.type_name()}: {title}", _bind(check, cls))


def _bind(check: Callable[[Any], None], cls: type[Component]) -> Callable[[], None]:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            check(example_config(cls, Path(folder)))

    return run


def run_checks(package: str) -> Iterator[Result]:
    """Run every check of a package and yield each result.

    Args:
        package: The name of an installed distribution (`my-gan`) or of its module (`my_gan`).

    Raises:
        BadInput: When the package cannot be loaded or does not register a component.
    """
    for check in checks(package):
        error = None
        try:
            check.run()
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        yield Result(check.name, error)


def conformance(package: str, expected_failures: Mapping[str, str] | None = None) -> Callable[..., None]:
    """Return a test function for pytest, with one case for each check of a package.

    Args:
        package: The name of an installed distribution (`my-gan`) or of its module (`my_gan`).
        expected_failures: The reason why a check must fail, by the check's name. Its case fails if the check passes.

    Raises:
        BadInput: When the package cannot be loaded or does not register a component.
        ValueError: When an expected failure is not the name of a check, or its reason is empty.
    """
    import pytest  # not at the top: the command line runs the kit without pytest

    expected = dict(expected_failures or {})
    found = list(checks(package))
    unknown = expected.keys() - {check.name for check in found}
    if unknown:
        raise ValueError(f"no check is called {', '.join(sorted(unknown))}")
    if not all(reason.strip() for reason in expected.values()):
        raise ValueError("an expected failure needs its reason")

    def marks(check: Check) -> list[pytest.MarkDecorator]:
        return [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []

    @pytest.mark.parametrize("check", [pytest.param(check, id=check.name, marks=marks(check)) for check in found])
    def test_conformance(check: Check) -> None:
        check.run()

    return test_conformance
