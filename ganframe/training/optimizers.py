"""The optimizers of a run: which players and parameter groups each has, how it is built, and how it takes a step."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import nn

from ganframe.config.component_kinds import OptimizerConfig
from ganframe.config.network_transforms import built_from
from ganframe.errors import BadInput, within
from ganframe.game.game import Game
from ganframe.game.protocols import Optimizer
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import build_live
from ganframe.training.gradient_clipping import clip_gradient_norm

METHODS = {"step": 0, "zero_grad": 0, "state_dict": 0, "load_state_dict": 1}
"""Methods that an optimizer must have, with the number of their arguments."""

NamedGroups = Mapping[str, Iterable[nn.Parameter]]
"""Parameters by the name of their group."""


@dataclass(frozen=True)
class TurnOptimizer:
    """The plan of an optimizer. A turn has one, and one more for each player with a separate optimizer.

    Attributes:
        name: The name in `Run.optimizers` and in checkpoints: the turn's name, or `TURN.PLAYER`.
        config: The config.
        key: The key of the config in `optimizers` of the experiment.
        turn: The turn's name.
        parameters: The parameters that it updates, by player; then those of terms, by the key `term NAME`.
        networks: The players of this optimizer.
    """

    name: str
    config: OptimizerConfig
    key: str
    turn: str
    parameters: Mapping[str, list[nn.Parameter]]
    networks: tuple[nn.Module, ...]

    def all_parameters(self) -> list[nn.Parameter]:
        """Return the parameters in the order in which checkpoints number them, which does not depend on groups."""
        return [parameter for own in self.parameters.values() for parameter in own]

    def check_groups(self) -> None:
        """Refuse groups that no network names. Call this before parts of players are frozen for some time.

        Raises:
            BadInput: When no player of the optimizer names such a group, or two groups share a parameter.
        """
        if not self.config.groups:
            return
        taken: dict[nn.Parameter, str] = {}
        with within("optimizers", self.key, "groups"):
            named = {name: own for name, own in self._named_groups().items() if own}
            for name in self.config.groups:
                if name not in named:
                    known = f"there are: {', '.join(sorted(named))}" if named else "they name none"
                    message = f"the players of the optimizer {self.name!r} name no parameter group {name!r}; {known}"
                    raise BadInput(message, path=(name,))
                for parameter in named[name]:
                    if parameter in taken:
                        message = f"shares a parameter with the group {taken[parameter]!r}"
                        raise BadInput(message, path=(name,), remedy="Leave one of the two out.")
                    taken[parameter] = name

    def groups(self) -> list[tuple[OptimizerConfig, list[nn.Parameter]]]:
        """Return the config and the parameters of each group that has settings of its own, in the order of `groups`.

        A group is empty while all of its parameters are frozen.
        """
        if not self.config.groups:
            return []
        named = self._named_groups()
        return [(self.config.of_group(name), named[name]) for name in self.config.groups]

    def _named_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return, for each group that a player names, the parameters that train."""
        trained = set(self.all_parameters())
        found: dict[str, list[nn.Parameter]] = {}
        for network in self.networks:
            own = set(network.parameters())
            for name, parameters in _parameter_groups(network).items():
                group = list(dict.fromkeys(parameters))
                if not own.issuperset(group):
                    message = f"the group has a tensor that is no parameter of {type(network).__name__}"
                    raise BadInput(message, path=(name,))
                found.setdefault(name, []).extend(parameter for parameter in group if parameter in trained)
        return found

    def build(self) -> Optimizer:
        """Make the optimizer. Its first parameter group has the parameters that are in no group of the config.

        Raises:
            BadInput: With the path of a setting that does not fit.
        """
        groups, parameters = self.groups(), self.all_parameters()
        grouped = {parameter for _, own in groups for parameter in own}
        with within("optimizers", self.key):
            optimizer = build_live(self.config, parameters, methods=METHODS)
            if groups:
                optimizer.param_groups[0]["params"] = [each for each in parameters if each not in grouped]
            for config, own in groups:
                (settings,) = config.build(own or parameters).param_groups  # no optimizer is built of nothing
                optimizer.add_param_group(settings | {"params": own})
        _refuse_growth(optimizer, self.name)
        return optimizer

    @functools.cached_property
    def _scheduled(self) -> list[tuple[int, OptimizerConfig]]:
        """The index and config of each parameter group in which a setting follows a schedule."""
        configs = [self.config, *(config for config, _ in self.groups())]
        return [(index, config) for index, config in enumerate(configs) if config.is_scheduled()]

    def step(self, optimizer: Optimizer, progress: TrainingProgress) -> None:
        """Set the settings that follow a schedule, clip the gradients if the config says so, and update the parameters.

        Args:
            optimizer: What `build` made.
            progress: How far the run is.
        """
        for index, config in self._scheduled:
            optimizer.param_groups[index].update(config.settings(progress.images, progress.total))
        if self.config.clip_gradient_norm is not None:
            clip_gradient_norm(self.all_parameters(), self.config.clip_gradient_norm)
        optimizer.step()


def plan_optimizers(
    game: Game, parameters: Mapping[str, Mapping[str, list[nn.Parameter]]], configs: Mapping[str, OptimizerConfig]
) -> list[TurnOptimizer]:
    """Return the plans of all optimizers: for each turn in order, that of the turn, then those of single players.

    A player that is frozen as a whole has none.

    Args:
        game: The game, with its players.
        parameters: For each turn, its parameters, by player or term.
        configs: The setting `optimizers` of the experiment.

    Raises:
        BadInput: When a config is for no parameters.
    """
    plans = [each for turn in game.turns for each in _plan_turn(game, turn, parameters[turn.name], configs)]
    for key in sorted(configs.keys() - {plan.key for plan in plans}):
        message = "nothing is left for this optimizer to train: all players of the turn have one of their own"
        if key not in parameters:
            message = "nothing is left for this optimizer to train: the player has another one in each of its turns"
        raise BadInput(message, path=("optimizers", key), remedy="Leave it out.")
    return [plan for plan in plans if plan.all_parameters()]


def _plan_turn(
    game: Game, turn: Turn, parameters: Mapping[str, list[nn.Parameter]], configs: Mapping[str, OptimizerConfig]
) -> Iterator[TurnOptimizer]:
    rest = dict(parameters)
    single: list[TurnOptimizer] = []
    turns = {each.name for each in game.turns}
    for player in turn.players:
        name = f"{turn.name}.{player}"
        for key in (name, player):
            if key in configs and key not in turns:
                networks = (game.players[player],)
                single.append(TurnOptimizer(name, configs[key], key, turn.name, {player: rest.pop(player)}, networks))
                break
    if rest or not single:
        config = configs.get(turn.name) or OptimizerConfig.default()
        networks = tuple(game.players[player] for player in turn.players if player in rest)
        yield TurnOptimizer(turn.name, config, turn.name, turn.name, rest, networks)
    yield from single


def check_optimizer_names(names: Iterable[str], game: Game) -> None:
    """Refuse an optimizer for a turn or a player that the game does not have.

    Raises:
        BadInput: With the path of the optimizer.
    """
    players = {turn.name: turn.players for turn in game.turns}
    trained = {player for own in players.values() for player in own}
    for name in sorted(names):
        turn, dot, player = name.rpartition(".")
        if name in players or name in trained or player in players.get(turn, ()):
            continue
        if dot and turn in players:
            message = f"the turn {turn!r} does not train {player!r}; it trains: {', '.join(players[turn])}"
        else:
            message = f"the game has no turn {name!r}; it has: {', '.join(sorted(players))}"
        remedy = f"Name a turn, or one of the players that train: {', '.join(sorted(trained))}."
        raise BadInput(message, path=("optimizers", name), remedy=remedy)


def _parameter_groups(network: nn.Module) -> NamedGroups:
    """Return the parameter groups that a network names, or else those of the outermost inner network that has any."""
    for each in (network, *(inner for _, inner in reversed(built_from(network)))):
        if hasattr(each, "parameter_groups"):
            return each.parameter_groups()  # pyright: ignore[reportCallIssue]
    return {}


def _refuse_growth(optimizer: Any, name: str) -> None:
    """Make `add_param_group` fail from now on, because a checkpoint could not tell whose the new parameters are."""

    def refuse(param_group: object) -> NoReturn:
        # Not as `RunFailed`, so that the hook in which it is raised is named.
        message = f"the optimizer {name!r} takes no new parameters in mid-run; a game adds them by `growth`"
        raise RuntimeError(message)

    optimizer.add_param_group = refuse
