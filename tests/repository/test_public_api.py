"""`ganframe.__all__` lists the public names of `ganframe`, and the names that plugin authors import exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import types
from pathlib import Path

import pytest
import torch

import ganframe
from ganframe.game import Round
from ganframe.testing.fakes import FakeGame, make_round

SOURCE = Path(ganframe.__file__).parent


def modules() -> list[str]:
    return sorted(
        each.name for each in pkgutil.walk_packages([str(SOURCE)], "ganframe.") if each.name != "ganframe.__main__"
    )


def test_every_public_name_is_exported():
    """A name is public when the package can hand it out and it begins with no underscore."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ganframe")
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }
    assert sorted(imported) == sorted(ganframe.__all__)


@pytest.mark.parametrize("name", ganframe.__all__)
def test_every_exported_name_is_there_and_documented(name):
    value = getattr(ganframe, name)
    assert not isinstance(value, types.ModuleType)
    assert name in dir(ganframe)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("ganframe.")


def test_exports_are_sorted_and_unique():
    assert list(ganframe.__all__) == sorted(set(ganframe.__all__))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'ganframe' has no attribute 'trian'"):
        _ = ganframe.trian


def test_star_import_gives_the_exported_names():
    space: dict[str, object] = {}
    exec("from ganframe import *", space)
    assert {name for name in space if not name.startswith("__")} == set(ganframe.__all__)


@pytest.mark.parametrize("name", modules())
def test_every_module_imports_and_says_what_it_is_for(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported), f"{name}.__all__ names {exported}"


def test_every_attribute_of_a_round_is_documented():
    """Makers and terms of plugins read them, and the reference has what the docstring lists."""
    batch = {"real": torch.zeros(2, 3, 16, 16)}
    attributes = {name for name in vars(make_round(FakeGame(), batch)) if not name.startswith("_")}
    listed = (inspect.getdoc(Round) or "").partition("Attributes:")[2]
    assert attributes == set(re.findall(r"^ {4}(\w+): ", listed, re.M))
