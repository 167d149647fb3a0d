"""From a config to live objects: the game with its players, the objective, the optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ganframe.config.component import Component
from ganframe.config.experiment import Experiment
from ganframe.config.kinds import OptimizerConfig
from ganframe.config.markers import has_hooks
from ganframe.config.specs import DataSpec
from ganframe.config.transforms import built_from
from ganframe.distributed.process_group import local_device
from ganframe.distributed.shard import this_shard
from ganframe.errors import BadInput, within
from ganframe.game.game import Game
from ganframe.game.loss_term import LossTerm
from ganframe.game.objective import Objective
from ganframe.game.protocols import Optimizer
from ganframe.randomness import Randomness


@dataclass
class Assembly:
    """The parts of an experiment that fit together.

    Attributes:
        experiment: The config.
        game: The game, with its players seated.
        objective: The terms of every turn.
        augmentations: What stands between samples and discriminators, in order.
        device: Where the players are.
    """

    experiment: Experiment
    game: Game
    objective: Objective
    augmentations: nn.ModuleList
    device: torch.device

    @property
    def sharded(self) -> bool:
        """Whether the processes of the run share the parameters among them."""
        return self.experiment.train.shard and this_shard().world_size > 1

    @property
    def batches_per_step(self) -> int:
        """Batches that a step draws: one for each repeat of its most repeated turn and accumulated pass."""
        return max(turn.repeats for turn in self.game.turns) * self.experiment.train.accumulate

    @property
    def images_per_step(self) -> int:
        """Real examples that a step draws."""
        return self.batches_per_step * self.experiment.train.batch_size

    def components(self) -> Iterator[tuple[Component, object]]:
        """Each config with what was built from it: the game, the players and what they were made from, terms."""
        yield self.experiment.game, self.game
        for name, role in self.game.player_specs().items():
            yield role.config, self.game.players[name]
            yield from built_from(self.game.players[name])
        for term in self.objective.terms:
            yield term.config, term.live
            if isinstance(term, LossTerm):
                yield from zip(term.config.labels, term.policies, strict=True)
        yield from zip(self.experiment.augmentations, self.augmentations, strict=True)

    def listeners(self) -> list[object]:
        """Return the live objects that implement hooks, each once."""
        return list({id(live): live for _, live in self.components() if has_hooks(live)}.values())

    def optimizer_configs(self) -> dict[str, OptimizerConfig]:
        """The optimizer config of each turn."""
        return {
            turn.name: self.experiment.optimizers.get(turn.name) or OptimizerConfig.default()
            for turn in self.game.turns
        }

    def optimizers(self) -> dict[str, Optimizer]:
        """A fresh optimizer for each turn."""
        configs, built = self.optimizer_configs(), dict[str, Optimizer]()
        for turn in self.game.turns:
            with within("optimizers", turn.name):
                built[turn.name] = configs[turn.name].build(self.game.trainable_parameters(turn.players))
        return built


def assemble(experiment: Experiment, device: torch.device | None = None, data: DataSpec | None = None) -> Assembly:
    """Build the game, its players and the terms of an experiment, and check that they fit together.

    Args:
        experiment: The config.
        device: Where the players go; what the config says when None.
        data: The tensors of the data; those that are found where the config says when None.

    Raises:
        BadInput: When a part does not fit, with its path in the config.
    """
    device = choose_device(experiment.train.device) if device is None else device
    if data is None:
        with within("data"):
            data = experiment.data.spec()
    try:
        game = experiment.game.build(data)
    except BadInput as problem:
        # A game speaks of its own settings, except where it is the data that lacks something.
        raise (problem if problem.path[:1] == ("data",) else problem.within("game")) from None
    turns = {turn.name for turn in game.turns}
    for name in experiment.optimizers.keys() - turns:
        message = f"the game has no turn {name!r}; it has: {', '.join(sorted(turns))}"
        raise BadInput(message, path=("optimizers", name))
    check_metrics(experiment, game)
    if experiment.game.share_round and any(turn.repeats > 1 for turn in game.turns):
        message = "one round cannot be shared by turns that are repeated within a step"
        raise BadInput(message, path=("game", "share_round"), remedy="Leave one of the two settings out.")
    if experiment.train.shard:
        clashes = {("train", "compile"): experiment.train.compile, ("game", "share_round"): experiment.game.share_round}
        for path in [path for path, clash in clashes.items() if clash]:
            raise BadInput("does not go together with train.shard", path=path, remedy="Leave one of the two out.")
    objective = Objective(experiment, game)
    for term in objective.terms:
        if isinstance(term.live, nn.Module):
            term.live.to(device)
    players = build_players(game, Randomness(experiment.seed))
    assembly = Assembly(experiment, game, objective, build_augmentations(experiment, game).to(device), device)
    # Players that one device may have no room for go there in parts.
    home = torch.device("cpu") if assembly.sharded else device
    game.set_players({name: _place(player, home, experiment.train.channels_last) for name, player in players.items()})
    return assembly


def build_augmentations(experiment: Experiment, game: Game) -> nn.ModuleList:
    """Build each augmentation.

    Raises:
        BadInput: With the path of the one that does not fit or cannot be built.
    """
    built = nn.ModuleList()
    for index, config in enumerate(experiment.augmentations):
        with within("augmentations", index):
            config.check(game, experiment.losses)
            built.append(config.build())
    return built


def build_players(game: Game, randomness: Randomness) -> Mapping[str, nn.Module]:
    """Build each player from a seed of its own.

    Raises:
        BadInput: When a network cannot play its role.
    """
    players: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        for name, role in game.player_specs().items():
            randomness.at("player", name).seed_torch("initialisation")
            with within("game"):
                players[name] = role.build()
    return players


def choose_device(name: str) -> torch.device:
    """The device that a config asks for.

    Raises:
        BadInput: When there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = local_device(name)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise BadInput(f"no device {name!r} here", path=("train", "device"), remedy="Say cpu or auto.") from None
    return device


def _place(player: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    if channels_last:
        return player.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return player.to(device)


def generator_players(game: Game) -> dict[str, nn.Module]:
    """The players that make samples: all but the judges. These are the ones that are averaged."""
    return {name: player for name, player in game.players.items() if name not in game.discriminators}


def check_metrics(experiment: Experiment, game: Game) -> None:
    """Refuse a metric that reads a tensor which the game lacks.

    Raises:
        BadInput: With the metric's path in the config.
    """
    for index, metric in enumerate(experiment.evaluate.metrics if experiment.evaluate else ()):
        for name in metric.tensors():
            if name not in game.names:
                message = f"{metric.type_name()!r} reads the tensor {name!r}, which the game does not have"
                path = ("evaluate", "metrics", index)
                raise BadInput(message, path=path, remedy=f"It has: {', '.join(game.names)}.")
