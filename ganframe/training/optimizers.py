"""The optimizers of a run: which parameters and groups each has, how it is built, and how it takes a step."""

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
"""Methods that an optimizer must have, with the number of arguments of each."""

NamedGroups = Mapping[str, Iterable[nn.Parameter]]
"""The parameters of each group, by the group's name."""


@dataclass(frozen=True)
class TurnOptimizer:
    """The plan of an optimizer: its config and parameters.

    A turn (optimizer step of some players) has one plan, and one more for each player with a separate optimizer.

    Attributes:
        name: The name in `Run.optimizers` and in checkpoints: the turn's name, or `TURN.PLAYER` if it is for one
            player.
        config: The config of the optimizer.
        key: The key of that config in the setting `optimizers`.
        turn: The turn's name.
        parameters: The parameters that it updates, by the name of their player, or `term NAME` for those of terms.
        networks: The networks of these players.
    """

    name: str
    config: OptimizerConfig
    key: str
    turn: str
    parameters: Mapping[str, list[nn.Parameter]]
    networks: tuple[nn.Module, ...]

    def all_parameters(self) -> list[nn.Parameter]:
        """Return all parameters, in the order in which checkpoints number them, whatever their groups."""
        return [parameter for own in self.parameters.values() for parameter in own]

    def check_groups(self) -> None:
        """Refuse parameter groups in the config that no network names. Call this before any part of a player is frozen.

        Raises:
            BadInput: When no network names a group, or two groups share a parameter.
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
        """Return the config and the parameters of each group in the setting `groups`, in its order.

        A group is empty while all of its parameters are frozen.
        """
        if not self.config.groups:
            return []
        named = self._named_groups()
        return [(self.config.of_group(name), named[name]) for name in self.config.groups]

    def _named_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that train of each group that a network names, by the group's name."""
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
        """Build the optimizer. Its first parameter group has the parameters that are in no group of the config.

        Raises:
            BadInput: When a setting does not fit. The error has its path.
        """
        groups, parameters = self.groups(), self.all_parameters()
        grouped = {parameter for _, own in groups for parameter in own}
        with within("optimizers", self.key):
            optimizer = build_live(self.config, parameters, methods=METHODS)
            if groups:
                optimizer.param_groups[0]["params"] = [each for each in parameters if each not in grouped]
            for config, own in groups:
                (settings,) = config.build(own or parameters).param_groups  # PyTorch refuses an empty list
                optimizer.add_param_group(settings | {"params": own})
        _refuse_growth(optimizer, self.name)
        return optimizer

    @functools.cached_property
    def _scheduled(self) -> list[tuple[int, OptimizerConfig]]:
        """The index and config of each parameter group in which a setting follows a schedule."""
        configs = [self.config, *(config for config, _ in self.groups())]
        return [(index, config) for index, config in enumerate(configs) if config.is_scheduled()]

    def step(self, optimizer: Optimizer, progress: TrainingProgress) -> None:
        """Apply schedules, clip the gradients if the config says so, and update the parameters.

        Args:
            optimizer: The result of `build`.
            progress: The point of the run, for schedules.
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

    Optimizers without parameters, because all their players are frozen, are left out.

    Args:
        game: The game, with its players.
        parameters: The parameters that train, by the turn's name, then by player or term.
        configs: The setting `optimizers` of the config.

    Raises:
        BadInput: When all players that a config is for have other optimizers.
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
        BadInput: When there is one. The error has its path.
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
    """Return `parameter_groups()` of a network, or else of the outermost network inside it that has this method."""
    for each in (network, *(inner for _, inner in reversed(built_from(network)))):
        if hasattr(each, "parameter_groups"):
            return each.parameter_groups()  # pyright: ignore[reportCallIssue]
    return {}


def _refuse_growth(optimizer: Any, name: str) -> None:
    """Make `add_param_group` fail from now on, because checkpoints could not number the new parameters."""

    def refuse(param_group: object) -> NoReturn:
        # Not `RunFailed`, so that `RunHooks.call` adds the name of the hook in which it is raised.
        message = f"the optimizer {name!r} takes no new parameters in mid-run; a game adds them by `growth`"
        raise RuntimeError(message)

    optimizer.add_param_group = refuse
