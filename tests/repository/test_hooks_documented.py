"""The hooks page and `hookspecs.py` say the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from ganframe.plugins import hookspecs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "hooks.md"

SPECS = {
    name: tuple(inspect.signature(value).parameters)
    for name, value in vars(hookspecs).items()
    if hasattr(value, "ganframe_spec")
}
HEADINGS = {
    name: tuple(filter(None, arguments.split(", ")))
    for name, arguments in re.findall(r"^### (\w+)\((.*)\)$", PAGE.read_text(encoding="utf-8"), re.M)
}


def test_there_are_hooks() -> None:
    assert "on_step_end" in SPECS


@pytest.mark.parametrize("hook", sorted(SPECS.keys() | HEADINGS.keys()))
def test_hook_is_documented_with_its_arguments(hook: str) -> None:
    assert hook in HEADINGS, "not on the hooks page"
    assert hook in SPECS, "on the hooks page, but there is no such hook"
    assert HEADINGS[hook] == SPECS[hook]


@pytest.mark.parametrize("hook", sorted(SPECS))
def test_hook_has_a_docstring(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))


def test_order_is_that_of_the_code() -> None:
    assert list(HEADINGS) == list(SPECS)
