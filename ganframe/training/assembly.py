"""Assembly of a config into live objects: the game with its players, the objective, the optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ganframe.config.component import Component
from ganframe.config.component_kinds import OptimizerConfig
from ganframe.config.experiment import Experiment
from ganframe.config.hook_markers import has_hooks
from ganframe.config.network_transforms import built_from
from ganframe.config.tensor_specs import DataSpec
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
    """The live objects of an experiment, checked to fit together.

    Attributes:
        experiment: The config.
        game: The game, with its players.
        objective: For each turn, the weighted sum of its terms.
        augmentations: The augmentations of the samples that discriminators see, in the order in which they are applied.
        device: The device of the players.
    """

    experiment: Experiment
    game: Game
    objective: Objective
    augmentations: nn.ModuleList
    device: torch.device

    @property
    def sharded(self) -> bool:
        """Whether the parameters are sharded over the processes of the run (FSDP)."""
        return self.experiment.train.fsdp and this_shard().world_size > 1

    @property
    def batches_per_step(self) -> int:
        """The number of batches that a step draws: the most repeats of a turn, times `gradient_accumulation_steps`."""
        return max(turn.repeats for turn in self.game.turns) * self.experiment.train.gradient_accumulation_steps

    @property
    def images_per_step(self) -> int:
        """The number of real examples that a step draws, on all ranks together."""
        return self.batches_per_step * self.experiment.train.batch_size

    def components(self) -> Iterator[tuple[Component, object]]:
        """Yield the config and the live object of each component.

        These are the game, its players, the networks that transforms made them from, terms, label policies and
        augmentations.
        """
        yield self.experiment.game, self.game
        for name, spec in self.game.player_specs().items():
            yield spec.config, self.game.players[name]
            yield from built_from(self.game.players[name])
        for term in self.objective.terms:
            yield term.config, term.live
            if isinstance(term, LossTerm):
                yield from zip(term.config.label_policies, term.policies, strict=True)
        yield from zip(self.experiment.augmentations, self.augmentations, strict=True)

    def listeners(self) -> list[object]:
        """Return the live objects that implement hooks, each once."""
        return list({id(live): live for _, live in self.components() if has_hooks(live)}.values())

    def optimizer_configs(self) -> dict[str, OptimizerConfig]:
        """Return the optimizer config of each turn, by the turn's name."""
        return {
            turn.name: self.experiment.optimizers.get(turn.name) or OptimizerConfig.default()
            for turn in self.game.turns
        }

    def optimizers(self) -> dict[str, Optimizer]:
        """Build a new optimizer for each turn, and return them by the turn's name."""
        configs, optimizers = self.optimizer_configs(), dict[str, Optimizer]()
        for turn in self.game.turns:
            with within("optimizers", turn.name):
                optimizers[turn.name] = configs[turn.name].build(self.game.trainable_parameters(turn.players))
        return optimizers


def assemble(experiment: Experiment, device: torch.device | None = None, data: DataSpec | None = None) -> Assembly:
    """Build the game, its players and the terms of an experiment, and check that they fit together.

    Args:
        experiment: The config.
        device: The device for the players; that of the config when None.
        data: The specs of the data's tensors, by name; those of the config's data set when None.

    Raises:
        BadInput: When a part does not fit the others; the error has the path of that part in the config.
    """
    device = choose_device(experiment.train.device) if device is None else device
    if data is None:
        with within("data"):
            data = experiment.data.spec()
    try:
        game = experiment.game.build(data)
    except BadInput as problem:
        # A path that starts with `data` is complete already; any other starts within the settings of the game.
        raise (problem if problem.path[:1] == ("data",) else problem.within("game")) from None
    turns = {turn.name for turn in game.turns}
    for name in experiment.optimizers.keys() - turns:
        message = f"the game has no turn {name!r}; it has: {', '.join(sorted(turns))}"
        raise BadInput(message, path=("optimizers", name))
    check_metrics(experiment, game)
    if experiment.game.share_round and any(turn.repeats > 1 for turn in game.turns):
        message = "one round cannot be shared by turns that are repeated within a step"
        raise BadInput(message, path=("game", "share_round"), remedy="Leave one of the two settings out.")
    if experiment.train.fsdp:
        clashes = {("train", "compile"): experiment.train.compile, ("game", "share_round"): experiment.game.share_round}
        for path in [path for path, clash in clashes.items() if clash]:
            raise BadInput("does not go together with train.fsdp", path=path, remedy="Leave one of the two out.")
    objective = Objective(experiment, game)
    for term in objective.terms:
        if isinstance(term.live, nn.Module):
            term.live.to(device)
    players = build_players(game, Randomness(experiment.seed))
    assembly = Assembly(experiment, game, objective, build_augmentations(experiment, game).to(device), device)
    # Players to be sharded may be too large for one device, so they stay on the CPU until they are.
    initial_device = torch.device("cpu") if assembly.sharded else device
    game.set_players(
        {name: _place(player, initial_device, experiment.train.channels_last) for name, player in players.items()}
    )
    return assembly


def build_augmentations(experiment: Experiment, game: Game) -> nn.ModuleList:
    """Build the augmentations of a config, in its order.

    Raises:
        BadInput: When an augmentation does not go with the game or the losses, or cannot be built; the error has its
            path in the config.
    """
    augmentations = nn.ModuleList()
    for index, config in enumerate(experiment.augmentations):
        with within("augmentations", index):
            config.check(game, experiment.losses)
            augmentations.append(config.build())
    return augmentations


def build_players(game: Game, randomness: Randomness) -> Mapping[str, nn.Module]:
    """Build the players, by name; the initial weights of each are drawn from a seed of its own.

    Raises:
        BadInput: When a network cannot take or make tensors of the shapes in its player spec.
    """
    players: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        for name, spec in game.player_specs().items():
            randomness.at("player", name).seed_torch("initialisation")
            with within("game"):
                players[name] = spec.build()
    return players


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is CUDA where there is a GPU, else the CPU.

    Raises:
        BadInput: When this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = local_device(name)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise BadInput(f"no device {name!r} here", path=("train", "device"), remedy="Set it to cpu or auto.") from None
    return device


def _place(player: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    if channels_last:
        return player.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return player.to(device)


def generator_players(game: Game) -> dict[str, nn.Module]:
    """Return every player that is not a discriminator, by name. The moving averages (EMA) are of these."""
    return {name: player for name, player in game.players.items() if name not in game.discriminators}


def check_metrics(experiment: Experiment, game: Game) -> None:
    """Refuse a metric that reads a tensor which the game lacks.

    Raises:
        BadInput: When a metric reads such a tensor; the error has the metric's path in the config.
    """
    for index, metric in enumerate(experiment.evaluate.metrics if experiment.evaluate else ()):
        for name in metric.tensors():
            if name not in game.names:
                message = f"{metric.type_name()!r} reads the tensor {name!r}, which the game does not have"
                path = ("evaluate", "metrics", index)
                raise BadInput(message, path=path, remedy=f"It has: {', '.join(game.names)}.")
