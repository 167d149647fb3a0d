"""kind -> type -> config class."""

from __future__ import annotations

from typing import Literal

import pytest

from ganframe.config.component_kinds import KINDS, MetricConfig
from ganframe.config.networks import GeneratorConfig
from ganframe.config.terms import LossConfig
from ganframe.plugins import registry as registry_module
from ganframe.plugins.discovery import installed
from ganframe.plugins.registry import NameTaken, Registry


class Hinge(LossConfig):
    """Pushes apart."""

    aliases = ("geometric", "margin")
    type: Literal["hinge"] = "hinge"


class Wasserstein(LossConfig):
    """Earth mover."""

    type: Literal["wasserstein"] = "wasserstein"


class HingeNetwork(GeneratorConfig):
    """The same name, of another kind."""

    type: Literal["hinge"] = "hinge"


@pytest.fixture
def registry(monkeypatch):
    packages = {("loss", "least-squares"): "ganframe-not-here", ("loss", "minimax"): "ganframe-minimax"}
    monkeypatch.setattr(registry_module, "PACKAGES", packages)
    made = Registry()
    made.add(Wasserstein, "a")
    made.add(Hinge, "b")
    return made


def test_a_type_is_found_by_its_name_and_its_aliases(registry):
    assert [registry.find("loss", name) for name in ("hinge", "geometric", "margin")] == [Hinge] * 3
    assert registry.types("loss") == ["hinge", "wasserstein"]


def test_kinds_do_not_share_names(registry):
    registry.add(HingeNetwork, "c")
    assert registry.find("generator", "hinge") is HingeNetwork
    assert registry.find("loss", "hinge") is Hinge
    assert isinstance(registry.find("generator", "margin"), str)


def test_classes_come_by_kind_and_name_with_their_package(registry):
    registry.add(HingeNetwork, "c")
    assert list(registry) == [(HingeNetwork, "c"), (Hinge, "b"), (Wasserstein, "a")]


def test_a_taken_name_is_a_conflict_that_names_both(registry):
    with pytest.raises(NameTaken, match="loss 'hinge' of c is already supplied by b"):
        registry.add(Hinge, "c")


@pytest.mark.parametrize("names", [("margin", ()), ("other", ("geometric",)), ("other", ("hinge",))])
def test_a_taken_alias_is_a_conflict_and_nothing_is_registered(registry, names):
    class Other(LossConfig):
        """Another."""

        aliases = names[1]
        type: Literal[names[0]] = names[0]

    with pytest.raises(NameTaken, match="is already supplied by b"):
        registry.add(Other, "c")
    assert list(registry) == [(Hinge, "b"), (Wasserstein, "a")]
    assert isinstance(registry.find("loss", "other"), str)


@pytest.mark.parametrize("cls", [LossConfig, int, Registry, "hinge", Hinge()])
def test_what_is_no_component_is_refused(registry, cls):
    with pytest.raises(TypeError):
        registry.add(cls, "c")


def test_a_copy_stands_by_itself(registry):
    copy = registry.copy()
    copy.add(HingeNetwork, "c")
    assert list(registry) == [(Hinge, "b"), (Wasserstein, "a")]
    assert copy.find("loss", "margin") is Hinge


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hing", "unknown loss 'hing'; did you mean 'hinge'?"),
        ("margins", "unknown loss 'margins'; did you mean 'margin'?"),
        ("leastsquares", "unknown loss 'leastsquares'; did you mean 'least-squares'?"),
        ("zzz", "unknown loss 'zzz'; installed: hinge, wasserstein"),
        (
            "least-squares",
            "loss 'least-squares' is supplied by the package ganframe-not-here: pip install ganframe-not-here",
        ),
        (
            "minimax",
            "loss 'minimax' is supplied by the package ganframe-minimax, which is installed but was not loaded; ",
        ),
    ],
)
def test_what_to_do_about_a_type_that_is_not_there(registry, name, sentence):
    assert registry.find("loss", name).startswith(sentence)


def test_a_kind_of_which_nothing_is_installed(registry):
    assert registry.find("metric", "fid") == "unknown metric 'fid'; installed: none"
    assert registry.types(MetricConfig.kind) == []


def test_every_kind_has_a_name_of_its_own():
    assert len({base.kind for base in KINDS}) == len(KINDS)
    assert all(base.kind for base in KINDS)


def test_what_is_installed_names_its_type_and_says_what_it_is():
    for cls, package in installed().registry:
        assert cls.type_name() == cls.type_name().lower()
        assert cls.summary().endswith((".", "!", "?")), f"{package}: {cls.__name__}"


class Mutable(LossConfig):
    """Any text."""

    type: str = "mutable"


class Other(LossConfig):
    """A default that the literal does not allow."""

    type: Literal["one"] = "other"  # pyright: ignore[reportAssignmentType]


class WithoutDefault(LossConfig):
    """No default."""

    type: Literal["without"]


class Listed(LossConfig):
    """A list."""

    type: list[str] = ["listed"]  # noqa: RUF012  the mistake that is tested


@pytest.mark.parametrize(
    ("cls", "example"), [(Mutable, "mutable"), (Other, "other"), (WithoutDefault, "my-type"), (Listed, "my-type")]
)
def test_a_type_that_is_no_literal_with_its_value_is_refused(registry, cls, example):
    with pytest.raises(TypeError) as raised:
        registry.add(cls, "c")
    literal = f'`type: Literal["{example}"] = "{example}"`'
    assert str(raised.value) == f"`type` of {cls.__name__} has to be a literal: {literal}"
