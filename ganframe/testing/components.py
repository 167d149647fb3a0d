"""Checks of every kind of component, and of schedules, optimizers and loggers."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from pydantic import ValidationError
from torch import nn

from ganframe.config.component import Component
from ganframe.config.component_kinds import GameConfig, LoggerConfig, OptimizerConfig
from ganframe.config.error_positions import read_document
from ganframe.config.field_docstrings import field_docstrings
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.schedules import ScheduleConfig, initial_value
from ganframe.config.terms import TermConfig
from ganframe.config.yaml import dump_yaml
from ganframe.game.game import Game
from ganframe.plugins.discovery import installed
from ganframe.plugins.first_party import PACKAGES
from ganframe.testing.fakes import LABEL
from ganframe.testing.games import build_playable_game
from ganframe.testing.networks import build_for_first_fit
from ganframe.training.ema import AveragedPlayers

SCHEDULED_KINDS = (
    "game",
    "generator",
    "discriminator",
    "loss",
    "regularizer",
    "label policy",
    "augmentation",
    "turn condition",
    "balancer",
)
"""The kinds of components whose scheduled settings must be attributes of the objects that they build."""

OTHER_VALUES = (0.5, 0.25, 1.0, 2.0, 0.0, -1.0, 10.0, 100.0)
"""Values to try for a scheduled setting: the first that the config allows and that differs from the current one."""


def defaults_validate(config: Component) -> None:
    """The settings of the config, including defaults, are valid and give an equal config."""
    assert _validate(config, config.model_dump()) == config, "the settings are changed by their own validation"


def yaml_round_trip(config: Component) -> None:
    """A config that is written as YAML and read back is equal to the original."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(dump_yaml(config.model_dump(mode="json")), encoding="utf-8")
        read = _validate(config, read_document(file).data)
        assert read == config, f"read back, the config is {read}: use types that YAML has"


def unknown_key_refused(config: Component) -> None:
    """An unknown key is refused, with an error that names the key."""
    try:
        _validate(config, config.model_dump(mode="json") | {"no_such_setting": 1})
    except ValidationError as problem:
        assert "no_such_setting" in str(problem)
        return
    raise AssertionError("an unknown key was accepted")


def _validate(config: Component, data: Any) -> Component:
    # Stand-ins are not registered, so they cannot be named by `type`: they are passed as objects.
    fakes = {name: value for name, value in config if isinstance(value, Component) and value.type_name() == "stub"}
    return type(config).model_validate({**data, **fakes})


def every_field_documented(config: Component) -> None:
    """The class and every field have a docstring."""
    assert type(config).summary(), "the class has no docstring"
    documented = {"type", *field_docstrings(type(config))}
    undocumented = [name for name in type(config).model_fields if name not in documented]
    assert not undocumented, f"no docstring: {', '.join(undocumented)}"


def imports_without_torch(config: Component) -> None:
    """Importing the module of the config does not import torch."""
    module = type(config).__module__
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, f"{module} imports torch"


def directory_agrees(config: Component) -> None:
    """The table of first-party types does not assign the type to another package."""
    key = (config.kind, config.type_name())
    owner = PACKAGES.get(key)
    assert owner in (None, installed().registry.packages[key]), f"{key[1]!r} is a type of {owner}: choose another name"


def scheduled_settings_are_live(config: Component) -> None:
    """Each setting that may follow a schedule, except the `weight` of a term, is an attribute of the built object.

    The attribute has the initial value of the setting, and can be set to another value. The same holds for the averaged
    copy of a network, and for the copy of a game from which samples are drawn. Setting the attribute of a copy does not
    change the original.
    """
    names = [
        name for name in scheduled_fields(type(config)) if not (name == "weight" and isinstance(config, TermConfig))
    ]
    live = _build_live(config) if names else None
    for name in names:
        initial, other = initial_value(getattr(config, name)), _other_value(config, name)
        _assert_value(live, name, initial)
        for copied in _copies(live):
            setattr(copied, name, other)
            _assert_value(copied, name, other)
            _assert_value(live, name, initial)
        setattr(live, name, other)
        _assert_value(live, name, other)


def _build_live(config: Any) -> object:
    if isinstance(config, GameConfig):
        return build_playable_game(config)
    if isinstance(config, (GeneratorConfig, DiscriminatorConfig)):
        return build_for_first_fit(config, LABEL if config.conditional else None)[0]
    return config.build()


def _copies(live: object) -> list[object]:
    if isinstance(live, Game):
        return [live.with_players({})]
    return [AveragedPlayers({"network": live}, 0.5).players["network"]] if isinstance(live, nn.Module) else []


def _other_value(config: Component, name: str) -> float:
    """Return a value that a setting allows and that differs from its current value."""
    for value in OTHER_VALUES:
        with contextlib.suppress(ValidationError):
            if value != initial_value(getattr(config, name)):
                return getattr(_validate(config, config.model_dump() | {name: value}), name)
    raise AssertionError(f"{name!r} allows none of {OTHER_VALUES}")


def _assert_value(live: object, name: str, value: float) -> None:
    found = getattr(live, name)
    # A buffer in float32 is rounded.
    assert math.isclose(found, value, rel_tol=1e-6), f"{name!r} of {type(live).__qualname__} is {found}, not {value}"


def scheduled_fields(cls: type[Component]) -> list[str]:
    """Return the names of the settings of a config class that may follow a schedule."""
    hints = get_type_hints(cls, include_extras=True)
    return [name for name in cls.model_fields if _allows_schedule(hints[name])]


def _allows_schedule(annotation: Any) -> bool:
    return annotation is ScheduleConfig or any(map(_allows_schedule, get_args(annotation)))


def finite_over_a_run(config: ScheduleConfig) -> None:
    """At any point of a run and after its end, the value is finite and within the schedule's `extremes`."""
    low, high = config.extremes()
    for images in (0, 1, 500, 999, 1000, 5000):
        value = config.at(images, 1000)
        assert math.isfinite(value), f"after {images} of 1000 images the value is {value}"
        assert low <= value <= high, f"{value} is outside the extremes {low} and {high}"


def lowers_a_quadratic(config: OptimizerConfig) -> None:
    """A hundred steps lower the value of a quadratic function."""
    parameter = nn.Parameter(torch.ones(3))
    optimizer = config.build([parameter])
    for _ in range(100):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    value = float(parameter.detach().square().sum())
    assert value < 3.0, f"the value went from 3 to {value}: return settings with which it falls from `example`"


def state_round_trip(config: OptimizerConfig) -> None:
    """An optimizer that is rebuilt and loads its state dict takes the same next step as the original."""
    results: list[torch.Tensor] = []
    for interrupted in (False, True):
        parameter = nn.Parameter(torch.ones(3))
        optimizer = config.build([parameter])
        for step in range(3):
            if interrupted and step == 2:
                state = optimizer.state_dict()
                optimizer = config.build([parameter])
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (parameter.square() * torch.arange(1.0, 4.0)).sum().backward()
            optimizer.step()
        results.append(parameter.detach())
    assert torch.equal(*results), "the next step differs: keep all that a step needs in the state dict"


def trains_and_resumes(config: LoggerConfig) -> None:
    """A run with the logger can be interrupted, resumed and trained to its end."""
    from ganframe.testing.runs import tiny_run  # slow to import, and only this check trains

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        tiny_run(out, loggers=[config], stop_after=2)
        tiny_run(out, loggers=[config], resume=True)


CHECKS = {
    "every kind": {
        "defaults validate": defaults_validate,
        "YAML round trip": yaml_round_trip,
        "unknown key refused": unknown_key_refused,
        "every field documented": every_field_documented,
        "imports without torch": imports_without_torch,
        "directory agrees": directory_agrees,
    },
    **{kind: {"scheduled settings are live": scheduled_settings_are_live} for kind in SCHEDULED_KINDS},
    "schedule": {"finite over a run": finite_over_a_run},
    "optimizer": {"descends": lowers_a_quadratic, "state round trip": state_round_trip},
    "logger": {"takes part in a run and survives a resume": trains_and_resumes},
}
