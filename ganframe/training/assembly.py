"""Building the objects of a config, and checking that they fit together: game, networks, objective, optimizers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ganframe.config.component import Component
from ganframe.config.component_kinds import AugmentationConfig, OptimizerConfig, TurnConditionConfig
from ganframe.config.experiment import Experiment
from ganframe.config.hook_markers import has_hooks
from ganframe.config.settings import RunLength
from ganframe.config.tensor_specs import DataSpec
from ganframe.data.open_data import read_specs
from ganframe.distributed.process_group import local_device
from ganframe.distributed.shard import this_shard
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.game.game import Game
from ganframe.game.game_checks import check_game, check_networks
from ganframe.game.loss_term import LossTerm
from ganframe.game.objective import Objective
from ganframe.game.protocols import Optimizer, TurnCondition
from ganframe.game.samples import Sample
from ganframe.game.term_checks import check_contests, read_contests
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import build_live
from ganframe.randomness import Randomness
from ganframe.training.backward import check_balancer
from ganframe.training.components import (
    check_nested_schedules,
    check_nested_state,
    check_nested_terms,
    nested_components,
    player_components,
)
from ganframe.training.frozen_parts import FrozenParts
from ganframe.training.frozen_players import check_not_trained, frozen_digests
from ganframe.training.growing_players import GrowingPlayers
from ganframe.training.optimizers import TurnOptimizer, check_optimizer_names, plan_optimizers
from ganframe.training.warm_start import fill_players


@dataclass
class Assembly:
    """The objects that were built from the config of a run, checked to fit together.

    Attributes:
        experiment: The config.
        game: The game, with its players.
        objective: For each turn (optimizer step), the weighted sum of its losses and regularizers.
        augmentations: The augmentations of the samples that discriminators see, in the order in which they are applied.
        turn_conditions: For each turn with a condition, the condition's config and object, by the turn's name.
        balancers: The rules that weigh the terms of a turn by their gradients, by the turn's name.
        device: The device of the players.
        growing: The players that grow with the stages of the run.
        frozen_parts: The parts of players that do not train, for some time or the whole run.
        frozen_digests: The SHA-256 of the weights of each player that never trains, by its name.
    """

    experiment: Experiment
    game: Game
    objective: Objective
    augmentations: nn.ModuleList
    turn_conditions: Mapping[str, tuple[TurnConditionConfig, TurnCondition]]
    balancers: Mapping[str, nn.Module]
    device: torch.device
    growing: GrowingPlayers
    frozen_parts: FrozenParts
    frozen_digests: Mapping[str, str]

    @property
    def sharded(self) -> bool:
        """Whether the parameters are sharded over the processes of the run (FSDP)."""
        return self.experiment.train.fsdp and this_shard().world_size > 1

    @property
    def batches_per_step(self) -> int:
        """Batches drawn in one training step: the largest `repeats` of a turn times `gradient_accumulation_steps`."""
        return self._most_repeats * self.experiment.train.gradient_accumulation_steps

    @property
    def _most_repeats(self) -> int:
        return max(turn.repeats for turn in self.game.turns)

    @property
    def images_per_step(self) -> int:
        """Real examples drawn in one training step, on all ranks together."""
        return self.batches_per_step * self.batch_size

    def run_length(self) -> RunLength:
        """Return the length of the run, as if the current batch size held throughout; growth may change it."""
        images = self.experiment.train.total_images
        return RunLength(images, math.ceil(images / self.images_per_step) * self._most_repeats)

    @property
    def batch_size(self) -> int:
        """The batch size of one forward pass, on all ranks together; with growth, that of the current stage."""
        return self.growing.batch_size or self.experiment.train.batch_size

    def components(self) -> Iterator[tuple[Component, object]]:
        """Yield the config and the object of each component, then those that other objects list in `nested`."""
        own = list(self.own_components())
        yield from own
        yield from nested_components(own)

    def own_components(self) -> Iterator[tuple[Component, object]]:
        """Yield the config and the object of each component, without those inside other objects.

        These are the game, its players, the networks that transforms built them from, terms, label policies,
        augmentations, turn conditions and balancers.
        """
        yield self.experiment.game, self.game
        yield from player_components(self.game, self.game.players)
        for term in self.objective.terms:
            yield term.config, term.live
            if isinstance(term, LossTerm):
                yield from zip(term.config.label_policies, term.policies, strict=True)
        yield from zip(self.experiment.augmentations, self.augmentations, strict=True)
        yield from self.turn_conditions.values()
        for turn, balancer in self.balancers.items():
            yield self.experiment.balancers[turn], balancer

    def parameters(self, turn: Turn) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that a turn (optimizer step) trains, by player; those of terms by `term NAME`."""
        players = {name: self.game.trainable_parameters([name]) for name in turn.players}
        terms = {f"term {name}": own for name, own in self.objective.trainable_parameters(turn).items()}
        return players | terms

    def listeners(self) -> list[object]:
        """Return the objects that implement hooks, each once."""
        return list({id(live): live for _, live in self.components() if has_hooks(live)}.values())

    def turn_optimizers(self) -> list[TurnOptimizer]:
        """Return the plan of each optimizer: its name, config and parameters.

        Raises:
            BadInput: When the config names an optimizer that has no parameters to train.
        """
        parameters = {turn.name: self.parameters(turn) for turn in self.game.turns}
        return plan_optimizers(self.game, parameters, self.experiment.optimizers)

    def optimizer_configs(self) -> dict[str, OptimizerConfig]:
        """Return the config of each optimizer, by the optimizer's name."""
        return {plan.name: plan.config for plan in self.turn_optimizers()}

    def optimizers(self) -> dict[str, Optimizer]:
        """Build new optimizers, by name: the turn's name, or `TURN.PLAYER` for a player with a separate optimizer.

        Raises:
            BadInput: When one cannot be built. The error has its path in the config.
        """
        return {plan.name: plan.build() for plan in self.turn_optimizers()}


def assemble(experiment: Experiment, device: torch.device | None = None, data: DataSpec | None = None) -> Assembly:
    """Build the objects of a config, and check that they fit together.

    Args:
        experiment: The config.
        device: The device for the players; if None, that of the config.
        data: The specs of the data's tensors, by name; if None, those of the config's data set.

    Raises:
        BadInput: When a part does not fit the others. The error has the path of that part in the config.
    """
    device = choose_device(experiment.train.device) if device is None else device
    check_nested_terms(experiment)
    if data is None:
        with within("data"):
            data = read_specs(experiment.data)
    try:
        game: Game = build_live(experiment.game, data, returns=Game)
        check_game(game)
    except BadInput as problem:
        # A path that starts with `data` is complete already; any other starts within the settings of the game.
        raise (problem if problem.path[:1] == ("data",) else problem.within("game")) from problem.__cause__
    _check_turn_names(experiment, game)
    check_metrics(experiment, game)
    if experiment.game.share_round and any(turn.repeats > 1 for turn in game.turns):
        message = "one round cannot be shared by turns that are repeated within a step"
        raise BadInput(message, path=("game", "share_round"), remedy="Leave one of the two settings out.")
    if experiment.train.fsdp:
        clashes = {("train", "compile"): experiment.train.compile, ("game", "share_round"): experiment.game.share_round}
        for path in [path for path, clash in clashes.items() if clash]:
            raise BadInput("does not go together with train.fsdp", path=path, remedy="Leave one of the two out.")
    _check_growth(experiment)
    objective = Objective(experiment, game)
    for term in objective.terms:
        if isinstance(term.live, nn.Module):
            term.live.to(device)
    randomness = Randomness(experiment.seed)
    game.set_players(build_players(game, randomness))
    check_not_trained(game)
    growing = GrowingPlayers(
        game, experiment.growth, randomness, lambda player: _place(player, device, experiment.train.channels_last)
    )
    growing.apply(0)
    fill_players(experiment, game, game.frozen_players)
    assembly = Assembly(
        experiment,
        game,
        objective,
        build_augmentations(experiment, game).to(device),
        build_turn_conditions(experiment, game),
        build_balancers(experiment, device),
        device,
        growing,
        FrozenParts(game, experiment.freeze),
        frozen_digests(game),
    )
    # Players may be too large for one device until they are sharded, so they stay on the CPU until then.
    initial_device = torch.device("cpu") if assembly.sharded else device
    game.set_players(
        {name: _place(player, initial_device, experiment.train.channels_last) for name, player in game.players.items()}
    )
    with within("game"):
        check_networks(game)
    for plan in assembly.turn_optimizers():
        plan.check_groups()
    assembly.frozen_parts.apply(0)
    _check_trainable(assembly)
    for turn in game.turns:
        if turn.name in assembly.balancers:
            with within("balancers", turn.name):
                terms = [term.name for term in objective.terms_of(turn)]
                check_balancer(experiment.balancers[turn.name], game, terms)
    check_nested_schedules(experiment, assembly.components())
    check_nested_state(experiment, assembly.components())
    return assembly


def _check_growth(experiment: Experiment) -> None:
    """Refuse settings that cannot be combined with growth, because they fix the set of parameters.

    Raises:
        BadInput: When there is such a setting. The error has its path.
    """
    if experiment.growth is None:
        return
    clashes: dict[ConfigPath, object] = {
        ("train", "fsdp"): experiment.train.fsdp,
        ("train", "compile"): experiment.train.compile,
        ("freeze",): experiment.freeze,
        ("init_from",): experiment.init_from,
    }
    last, total = experiment.growth.stages[-1].from_images, experiment.train.total_images
    if last >= total:
        path = ("growth", "stages", len(experiment.growth.stages) - 1, "from_images")
        raise BadInput(f"the last stage begins at {last:,} images, and the run ends at {total:,}", path=path)
    for path in [path for path, clash in clashes.items() if clash]:
        raise BadInput("does not go together with growth", path=path, remedy="Leave one of the two out.")


def _check_turn_names(experiment: Experiment, game: Game) -> None:
    """Refuse optimizers, turn conditions and balancers for a turn that the game does not have.

    Raises:
        BadInput: When there is one. The error has its path.
    """
    check_optimizer_names(experiment.optimizers, game)
    turns = {turn.name for turn in game.turns}
    for setting in ("turn_conditions", "balancers"):
        for name in sorted(getattr(experiment, setting).keys() - turns):
            message = f"the game has no turn {name!r}; it has: {', '.join(sorted(turns))}"
            raise BadInput(message, path=(setting, name))


def _check_trainable(assembly: Assembly) -> None:
    """Refuse a turn (optimizer step) in which nothing trains, because all its players are frozen.

    Raises:
        BadInput: When there is one. The error names it.
    """
    path = ("freeze",) if assembly.experiment.freeze else ("game",)
    for turn in assembly.game.turns:
        if not any(assembly.parameters(turn).values()):
            message = f"nothing is left to train in the turn {turn.name!r}, which trains {', '.join(turn.players)}"
            raise BadInput(message, path=path, remedy="Let some part of it train.")


def build_turn_conditions(experiment: Experiment, game: Game) -> dict[str, tuple[TurnConditionConfig, TurnCondition]]:
    """Build the conditions under which turns (optimizer steps) are taken, from the config or else the game, by turn.

    Raises:
        BadInput: When a condition does not fit the game. The error has its path.
    """
    found: dict[str, tuple[TurnConditionConfig, TurnCondition]] = {}
    for turn in game.turns:
        config = experiment.turn_conditions.get(turn.name, turn.condition)
        if config is not None:
            with within("turn_conditions", turn.name):
                config.check(game)
                found[turn.name] = config, build_live(config, methods={"is_met": 2})
    return found


def build_balancers(experiment: Experiment, device: torch.device) -> dict[str, nn.Module]:
    """Build the balancer of each turn that has one.

    Raises:
        BadInput: When one cannot be built. The error has its path.
    """
    if experiment.balancers and experiment.train.fsdp:
        raise BadInput("does not go together with train.fsdp", path=("balancers",), remedy="Leave one of the two out.")
    found: dict[str, nn.Module] = {}
    for turn, config in experiment.balancers.items():
        with within("balancers", turn):
            found[turn] = build_live(config, returns=nn.Module, methods={"forward": 2}).to(device)
    return found


def build_augmentations(experiment: Experiment, game: Game) -> nn.ModuleList:
    """Build the augmentations of a config, in its order.

    Raises:
        BadInput: When an augmentation does not fit the game or the losses, or cannot be built. The error has its path.
    """
    augmentations = nn.ModuleList()
    for index, config in enumerate(experiment.augmentations):
        with within("augmentations", index):
            check_contests(game, config, ())
            config.check(game, experiment.losses)
            augmentations.append(build_live(config, returns=nn.Module, methods={"forward": 2}))
    return augmentations


def augmentations_by_discriminator(
    configs: Sequence[AugmentationConfig], augmentations: Iterable[nn.Module], game: Game
) -> dict[str, list[tuple[int, nn.Module]]]:
    """Return, for each discriminator, the augmentations of its samples in order, each with its index in `configs`.

    Raises:
        BadInput: When an augmentation names some, but not all, of the contests of one discriminator.
    """
    found: dict[str, list[tuple[int, nn.Module]]] = {}
    for index, (config, augmentation) in enumerate(zip(configs, augmentations, strict=True)):
        contests = read_contests(config, game.contests)
        read = {contest.discriminator for contest in contests}
        others = {contest.discriminator for contest in game.contests if contest not in contests}
        if both := sorted(read & others):
            message = f"the discriminator {both[0]!r} also plays in contests that are left out"
            raise BadInput(message, path=("augmentations", index, "contests"), remedy="Name all of its contests.")
        for discriminator in sorted(game.discriminators if config.contests is None else read):
            found.setdefault(discriminator, []).append((index, augmentation))
    return found


def augment(
    augmentations: Iterable[tuple[int, nn.Module]], sample: Sample, randomness: Randomness, device: torch.device
) -> Sample:
    """Return a sample after the augmentations of a discriminator.

    Args:
        augmentations: Those of `augmentations_by_discriminator`, each with its number.
        sample: The sample.
        randomness: The source of their draws.
        device: The device of the sample.
    """
    for index, augmentation in augmentations:
        with within("augmentations", index):
            sample = augmentation(sample, randomness.generator(f"augmentation {index}", device))
    return sample


def build_players(game: Game, randomness: Randomness) -> Mapping[str, nn.Module]:
    """Build the players, by name. The initial weights of each player are drawn from a separate seed.

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
    """Return the device of this name; `auto` is CUDA if there is a GPU, else the CPU.

    Raises:
        BadInput: When this machine does not have the device.
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
    """Return the trained players that are not discriminators, by name. Moving averages (EMA) are kept of these."""
    return {name: player for name, player in game.trained_players.items() if name not in game.discriminators}


def check_metrics(experiment: Experiment, game: Game) -> None:
    """Refuse a metric that reads a tensor which the game lacks, or that refuses the game.

    Raises:
        BadInput: When there is such a metric. The error has its path in the config.
    """
    for index, metric in enumerate(experiment.evaluate.metrics if experiment.evaluate else ()):
        for name in metric.tensors():
            if name not in game.names:
                message = f"{metric.type_name()!r} reads the tensor {name!r}, which the game does not have"
                path = ("evaluate", "metrics", index)
                raise BadInput(message, path=path, remedy=f"It has: {', '.join(game.names)}.")
        with within("evaluate", "metrics", index):
            metric.check(game)
