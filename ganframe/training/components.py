"""Pairs of a config and the object that was built from it: those of players, and those inside other objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import nn

from ganframe.config.component import Component
from ganframe.config.experiment import Experiment
from ganframe.config.nesting import find_nested
from ganframe.config.network_transforms import built_from
from ganframe.config.schedules import ScheduleConfig
from ganframe.config.terms import TermConfig
from ganframe.errors import BadInput, ConfigPath
from ganframe.game.game import Game

Pair = tuple[Component, object]
"""A config, and the object that was built from it."""

OBJECTIVE_SETTINGS = ("weight", "every", "turns", "contests", "from_images", "until_images", "label_policies")
"""Settings of terms that only the objective applies. It does not apply those of terms inside other components."""


def player_components(game: Game, players: Mapping[str, nn.Module]) -> Iterator[Pair]:
    """Yield the config and the network of some players, and of the networks that transforms built these from.

    Args:
        game: The game.
        players: Players of the game, or their moving averages, by name.
    """
    for name, spec in game.player_specs().items():
        if name in players:
            yield spec.config, players[name]
            yield from built_from(players[name])


def nested_components(components: Iterable[Pair]) -> Iterator[Pair]:
    """Yield the pairs that the objects of `components` list in their attribute `nested`, at any depth."""
    waiting = list(components)
    seen = {(id(config), id(live)) for config, live in waiting}
    while waiting:
        _, live = waiting.pop(0)
        for config, child in getattr(live, "nested", ()):
            if (id(config), id(child)) not in seen:
                seen.add((id(config), id(child)))
                waiting.append((config, child))
                yield config, child


def check_nested_terms(experiment: Experiment) -> None:
    """Refuse a nested term that sets anything in `OBJECTIVE_SETTINGS`, unless `applies` of its parent lists it.

    Raises:
        BadInput: When there is such a term. The error has the path of the setting.
    """
    for nested in find_nested(experiment):
        config, parent = nested.config, nested.parent
        if not isinstance(config, TermConfig) or parent is None:
            continue
        for name in OBJECTIVE_SETTINGS:
            field = type(config).model_fields.get(name)
            if field is None or name in parent.applies:
                continue
            if getattr(config, name) != field.get_default(call_default_factory=True):
                message = f"{parent.type_name()!r} does not apply {name!r} of the {config.kind} {config.type_name()!r}"
                raise BadInput(
                    message, path=(*nested.path, name), remedy=f"Leave it out, or set it on {parent.type_name()!r}."
                )


def check_nested_schedules(experiment: Experiment, components: Iterable[Pair]) -> None:
    """Refuse a schedule in a config whose object the trainer does not know, because the setting would never change.

    Args:
        experiment: The config.
        components: The objects that the trainer knows, nested ones too, each with its config.

    Raises:
        BadInput: When there is such a schedule. The error has its path.
    """
    # By type and schedule, not by config, because a game may copy the config of a network.
    followed = {(type(config), id(each)) for config, _ in components for each in _own_schedules(config)}
    for nested in find_nested(experiment):
        config, parent = nested.config, nested.parent
        if not isinstance(config, ScheduleConfig) or parent is None or isinstance(parent, ScheduleConfig):
            continue
        turn_optimizer = experiment.optimizers.get(str(nested.path[1])) if nested.path[0] == "optimizers" else None
        if turn_optimizer is not None and turn_optimizer.is_scheduled():
            continue
        if (type(parent), id(config)) not in followed:
            message = f"a setting of the {parent.kind} {parent.type_name()!r} cannot follow a schedule here"
            raise BadInput(message, path=nested.path, remedy="Give a number.")


def _own_schedules(config: Component) -> Iterator[ScheduleConfig]:
    for nested in find_nested(config):
        if nested.parent is config and isinstance(nested.config, ScheduleConfig):
            yield nested.config


def check_nested_state(experiment: Experiment, components: Iterable[Pair]) -> None:
    """Refuse an object in `nested` with parameters or buffers that is not a submodule of the object that holds it.

    Its parameters and buffers would be neither trained nor saved.

    Raises:
        BadInput: When there is one. The error has the path of its config.
    """
    for config, live in components:
        submodules = set(live.modules()) if isinstance(live, nn.Module) else set[nn.Module]()
        for child_config, child in getattr(live, "nested", ()):
            has_state = isinstance(child, nn.Module) and any(True for _ in (*child.parameters(), *child.buffers()))
            if has_state and child not in submodules:
                message = (
                    f"the {child_config.kind} {child_config.type_name()!r} has parameters or buffers, but is no "
                    f"submodule of {config.type_name()!r}, so they would not be saved"
                )
                raise BadInput(message, path=_path_of(experiment, child_config))


def _path_of(experiment: Experiment, config: Component) -> ConfigPath:
    return next((nested.path for nested in find_nested(experiment) if nested.config is config), ())
