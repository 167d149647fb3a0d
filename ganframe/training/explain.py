"""Explanation of a config before training: players, named tensors, contests, terms, turns, cost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganframe.config.component_kinds import OptimizerConfig
from ganframe.config.experiment import Experiment
from ganframe.config.schedules import ScheduleConfig
from ganframe.config.tensor_specs import parts
from ganframe.config.terms import TermConfig
from ganframe.data.loader import BatchLoader
from ganframe.data.open_data import open_dataset
from ganframe.errors import within
from ganframe.game.active_terms import ActiveTerms
from ganframe.game.contest import Contest
from ganframe.game.loss_term import LossTerm
from ganframe.game.objective import TurnObjective, play
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.training.assembly import Assembly, assemble
from ganframe.training.ema import describe_frozen_average
from ganframe.training.warm_start import fill_players

EXAMPLES = 2
"""The number of examples in the batch over which turns are taken to find shapes and count operations."""

MAX_TURNS = 10_000
"""The largest number of turns over which to count how often each set of terms is active."""

Table = list[tuple[str, ...]]


@dataclass
class Explanation:
    """A description of a config: its summary, tables of text, and its cost.

    Attributes:
        summary: The summary of the config.
        tables: The tables by title; the first row of each is its header.
        cost: The cost of a step and of the run, in one sentence.
        warnings: What the config says but can hardly mean, each in one sentence.
    """

    summary: str
    tables: dict[str, Table]
    cost: str
    warnings: list[str]


def explain(experiment: Experiment) -> Explanation:
    """Build the live objects of a config, take each turn on two examples without an update, and describe both.

    Raises:
        BadInput: When the parts of the config do not fit together.
    """
    assembly = assemble(experiment, torch.device("cpu"))
    fill_players(experiment, assembly.game, assembly.game.trained_players)
    shapes, terms_by_turn, operations = _play_turns(assembly)
    game = assembly.game
    tables = {
        "players": _players(assembly),
        "named tensors": _tensors(assembly, shapes),
        "contests": _contests(game.contests),
        "terms": _terms(assembly),
        "turns": _turns(assembly, terms_by_turn),
    }
    train = experiment.train
    steps = -(-train.total_images // assembly.images_per_step)
    step_operations = operations / EXAMPLES * assembly.batch_size * train.gradient_accumulation_steps
    cost = (
        f"{steps:,} steps of {assembly.images_per_step} images; {_with_unit(step_operations)} operations a step, "
        f"{_with_unit(step_operations * steps)} in all (multiplications and additions of matrix products)"
    )
    frozen = describe_frozen_average(train)
    return Explanation(experiment.summary, tables, cost, [] if frozen is None else [frozen])


def _play_turns(assembly: Assembly) -> tuple[dict[str, Any], dict[str, list[str]], float]:
    """Take every turn on two examples, without an update of the players.

    Returns:
        The shapes of tensors by name, the names of the terms by turn, and the mean number of operations of a step.
    """
    game, experiment = assembly.game, assembly.experiment
    with within("data"):
        dataset = open_dataset(experiment.data)
    batch = next(BatchLoader(dataset, EXAMPLES, Randomness(0), assembly.device).starting_at(0))
    batch = assembly.growing.resize(batch, 0)
    shapes: dict[str, Any] = {name: _shape(value) for name, value in batch.items()}
    terms_by_turn: dict[str, list[str]] = {}
    operations = 0.0
    memory = dict(game.memory)
    for turn in game.turns:
        active = assembly.objective.active_terms(turn, _progress(experiment, 0))
        terms_by_turn[turn.name] = [term.name for term in active.terms]
        for progress, share in _kinds_of_turn(assembly, turn):
            game_round = Round(game, batch, size=EXAMPLES, device=assembly.device, randomness=Randomness(0))
            counter = _CountOperations()
            game_round = assembly.objective.open_round(game_round, turn, progress)
            with game.only_trainable(turn.players), counter:
                play(game, game_round, TurnObjective(assembly.objective, progress)).backward()
            operations += counter.total * turn.repeats * share
            shapes |= {name: _shape(value) for name, value in game_round.made().items()}
    game.memory = memory
    return shapes, terms_by_turn, operations


def _kinds_of_turn(assembly: Assembly, turn: Turn) -> list[tuple[TrainingProgress, float]]:
    """Return, for each set of active terms that occurs, the progress at its first turn and its share of the turns."""
    experiment, objective = assembly.experiment, assembly.objective
    count = min(math.lcm(*(term.config.every for term in objective.terms)), MAX_TURNS)
    first: dict[ActiveTerms, TrainingProgress] = {}
    times = Counter[ActiveTerms]()
    for turn_count in range(count):
        progress = _progress(experiment, turn_count)
        active = objective.active_terms(turn, progress)
        first.setdefault(active, progress)
        times[active] += 1
    return [(first[active], times[active] / count) for active in first if active.terms]


def _progress(experiment: Experiment, turn_count: int) -> TrainingProgress:
    return TrainingProgress(turn_count, 0, experiment.train.total_images)


class _CountOperations(TorchDispatchMode):
    """Counts the multiplications and additions of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0
        # The mode `FlopCounterMode` itself is not entered, because its hooks on modules make a gradient penalty fail.
        self._formulas = FlopCounterMode(display=False).flop_registry

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        formula = self._formulas.get(getattr(func, "overloadpacket", None))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=output)
        return output


def _shape(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_shape(part) for part in cast(tuple[Tensor, ...], value))
    return tuple(cast(Tensor, value).shape[1:])


def _shape_text(shape: Any) -> str:
    if shape and isinstance(shape[0], tuple):
        return " and ".join(_shape_text(part) for part in shape)
    return " x ".join(str(side) for side in cast(tuple[int, ...], shape)) or "scalar"


def _players(assembly: Assembly) -> Table:
    rows: Table = [("player", "type", "takes or makes", "weights", "parameters")]
    for name, spec in assembly.game.player_specs().items():
        count = sum(parameter.numel() for parameter in assembly.game.players[name].parameters())
        sample = " and ".join(map(str, parts(spec.sample)))
        given = () if spec.condition is None else parts(spec.condition)
        condition = f", given {' and '.join(map(str, given))}" if given else ""
        weights = _weights(assembly.experiment, name, spec.frozen)
        rows.append((name, spec.config.type_name(), sample + condition, weights, f"{count:,}"))
    return rows


def _weights(experiment: Experiment, player: str, frozen: bool) -> str:
    """Return where the first weights of a player and of its parts come from, and which of them do not train."""
    notes = ["frozen" if frozen else "train"]
    for part, source in experiment.init_from.items():
        if part.partition(".")[0] == player:
            start = "start" if part == player else f"{part} starts"
            notes.append(f"{start} from {source.describe()}")
    for config in experiment.freeze:
        if config.part.partition(".")[0] == player:
            until = "" if config.until_images is None else f" until {config.until_images:,} images"
            notes.append(f"{config.part} frozen{until}")
    return "; ".join(notes)


def _tensors(assembly: Assembly, shapes: dict[str, Any]) -> Table:
    game = assembly.game
    rows: Table = [("tensor", "shape", "from")]
    for name in game.names:
        maker = getattr(type(game), game.makers[name]).__doc__ or "" if name in game.makers else "the data"
        rows.append((name, _shape_text(shapes[name]) if name in shapes else "not asked for", maker.partition("\n")[0]))
    return rows


def _contests(contests: tuple[Contest, ...]) -> Table:
    rows: Table = [("contest", "real", "fake", "discriminator")]
    for contest in contests:
        fake = contest.fake if contest.replay is None else f"{contest.fake} (own turn: {contest.replay})"
        rows.append((contest.name, contest.real, fake, contest.discriminator))
    return rows


def _terms(assembly: Assembly) -> Table:
    rows: Table = [("term", "weight", "reads", "turns")]
    for term in assembly.objective.terms:
        if isinstance(term, LossTerm):
            names = term.config.contests or [contest.name for contest in assembly.game.contests]
            reads = ", ".join([f"contests {', '.join(names)}", *term.needs.tensors])
        else:
            sides = [f"{side} of each contest" for side in sorted(term.needs.grad_wrt_sides)]
            reads = ", ".join([*term.needs.tensors, *sides]) or "its contests"
        turns = ", ".join(turn.name for turn in assembly.game.turns if term.joins(assembly.game, turn))
        rows.append((term.name, _weight(term.config), reads, turns))
    return rows


def _weight(config: TermConfig) -> str:
    weight = (
        config.weight.type_name() + " schedule" if isinstance(config.weight, ScheduleConfig) else f"{config.weight:g}"
    )
    return weight if config.every == 1 else f"{weight}, each {config.every}th turn"


def _turns(assembly: Assembly, terms_by_turn: dict[str, list[str]]) -> Table:
    rows: Table = [("turn", "trains", "minimises", "optimizer")]
    for turn in assembly.game.turns:
        name = turn.name if turn.repeats == 1 else f"{turn.name} ({turn.repeats} times)"
        plans = [plan for plan in assembly.turn_optimizers() if plan.turn == turn.name]
        texts = [_optimizer(plan.config) for plan in plans]
        if len(plans) > 1:
            texts = [f"{', '.join(plan.parameters)}: {text}" for plan, text in zip(plans, texts, strict=True)]
        rows.append((name, ", ".join(turn.players), " + ".join(terms_by_turn[turn.name]), "; ".join(texts)))
    return rows


def _optimizer(config: OptimizerConfig) -> str:
    clip = config.clip_gradient_norm
    parts = [] if clip is None else [f"gradient norm at most {clip:g}"]
    for name, settings in config.groups.items():
        parts.append(f"{name}: " + " and ".join(f"{key} {_setting(value)}" for key, value in settings.items()))
    return config.type_name() + (f" ({', '.join(parts)})" if parts else "")


def _setting(value: Any) -> str:
    """Return a setting of a parameter group as text: a number, a list, or the type of a schedule."""
    if isinstance(value, dict):
        return f"{cast(dict[str, Any], value).get('type')} schedule"
    if isinstance(value, list):
        return "/".join(map(_setting, cast(list[Any], value)))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_unit(operations: float) -> str:
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if operations >= size:
            return f"{operations / size:.3g} {unit}"
    return f"{operations:,.0f}"
