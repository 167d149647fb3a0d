"""What a config means, before anything trains: players, named tensors, contests, terms, turns, cost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganframe.config.experiment import Experiment
from ganframe.config.schedules import ScheduleConfig
from ganframe.config.terms import TermConfig
from ganframe.data.loader import BatchLoader
from ganframe.errors import within
from ganframe.game.active_terms import ActiveTerms
from ganframe.game.contest import Contest
from ganframe.game.loss_term import LossTerm
from ganframe.game.objective import TurnObjective
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.training.assembly import Assembly, assemble

TRIAL = 2
"""Examples in the round that is played to see shapes and count operations."""


PERIOD = 10_000
"""Turns that are looked at, at the most, for how often lazy terms meet."""


Table = list[tuple[str, ...]]


@dataclass
class Explanation:
    """Tables of text, each with a header row.

    Attributes:
        summary: What the config is for.
        tables: Rows by title.
        cost: What a step takes, in one sentence.
    """

    summary: str
    tables: dict[str, Table]
    cost: str


def explain(experiment: Experiment) -> Explanation:
    """Build a config, play one round of two examples, and say what there is.

    Raises:
        BadInput: When the parts of the config do not fit together.
    """
    assembly = assemble(experiment, torch.device("cpu"))
    shapes, active, operations = _trial(assembly)
    game = assembly.game
    tables = {
        "players": _players(assembly),
        "named tensors": _tensors(assembly, shapes),
        "contests": _contests(game.contests),
        "terms": _terms(assembly),
        "turns": _turns(assembly, active),
    }
    train = experiment.train
    steps = -(-train.images // assembly.images_per_step)
    step = operations / TRIAL * train.batch_size * train.accumulate
    cost = (
        f"{steps:,} steps of {assembly.images_per_step} images; {_giga(step)} operations a step, "
        f"{_giga(step * steps)} in all (multiplications and additions of matrix products)"
    )
    return Explanation(experiment.summary, tables, cost)


def _trial(assembly: Assembly) -> tuple[dict[str, Any], dict[str, list[str]], float]:
    """Play every turn on two examples: shapes of what was made, terms by turn, operations of a mean step."""
    game, experiment = assembly.game, assembly.experiment
    with within("data"):
        dataset = experiment.data.build()
    batch = next(BatchLoader(dataset, TRIAL, Randomness(0), assembly.device).starting_at(0))
    shapes: dict[str, Any] = {name: _shape(each) for name, each in batch.items()}
    active: dict[str, list[str]] = {}
    operations = 0.0
    memory = dict(game.memory)
    for turn in game.turns:
        active[turn.name] = [term.name for term in assembly.objective.active_terms(turn, _moment(experiment, 0)).terms]
        for progress, share in _moments(assembly, turn):
            game_round = Round(game, batch, size=TRIAL, device=assembly.device, randomness=Randomness(0))
            counter = _Operations()
            game_round = assembly.objective.open_round(game_round, turn, progress)
            with game.only_trainable(turn.players), counter:
                game.play(game_round, TurnObjective(assembly.objective, progress)).total.backward()
            operations += counter.total * turn.repeats * share
            shapes |= {name: _shape(each) for name, each in game_round.made().items()}
    game.memory = memory
    return shapes, active, operations


def _moments(assembly: Assembly, turn: Turn) -> list[tuple[TrainingProgress, float]]:
    """A moment for each set of terms that takes part in a turn, and the share of turns in which it does."""
    experiment, objective = assembly.experiment, assembly.objective
    count = min(math.lcm(*(term.config.every for term in objective.terms)), PERIOD)
    first: dict[ActiveTerms, TrainingProgress] = {}
    times = Counter[ActiveTerms]()
    for progress in (_moment(experiment, number) for number in range(count)):
        plan = objective.active_terms(turn, progress)
        first.setdefault(plan, progress)
        times[plan] += 1
    return [(first[plan], times[plan] / count) for plan in first if plan.terms]


def _moment(experiment: Experiment, turn_count: int) -> TrainingProgress:
    return TrainingProgress(turn_count, 0, experiment.train.images)


class _Operations(TorchDispatchMode):
    """Counts the multiplications and additions of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0
        # Not the mode itself: its hooks on modules make a gradient penalty fail.
        self._formulas = FlopCounterMode(display=False).flop_registry

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        formula = self._formulas.get(getattr(func, "overloadpacket", None))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=made)
        return made


def _shape(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_shape(each) for each in cast(tuple[Tensor, ...], value))
    return tuple(cast(Tensor, value).shape[1:])


def _written(shape: Any) -> str:
    if shape and isinstance(shape[0], tuple):
        return " and ".join(_written(each) for each in shape)
    return " x ".join(str(side) for side in cast(tuple[int, ...], shape)) or "scalar"


def _players(assembly: Assembly) -> Table:
    rows: Table = [("player", "type", "judges or makes", "parameters")]
    for name, role in assembly.game.player_specs().items():
        count = sum(each.numel() for each in assembly.game.players[name].parameters())
        sample = " and ".join(map(str, role.sample)) if isinstance(role.sample, tuple) else str(role.sample)
        given = "" if role.condition is None else f", given {role.condition}"
        rows.append((name, role.config.type_name(), sample + given, f"{count:,}"))
    return rows


def _tensors(assembly: Assembly, shapes: dict[str, Any]) -> Table:
    game = assembly.game
    rows: Table = [("tensor", "shape", "from")]
    for name in game.names:
        maker = "the data" if name not in game.makers else (getattr(type(game), name).__doc__ or "").partition("\n")[0]
        rows.append((name, _written(shapes[name]) if name in shapes else "not asked for", maker))
    return rows


def _contests(contests: tuple[Contest, ...]) -> Table:
    rows: Table = [("contest", "real", "fake", "discriminator")]
    for each in contests:
        fake = each.fake if each.replay is None else f"{each.fake} (own turn: {each.replay})"
        rows.append((each.name, each.real, fake, each.discriminator))
    return rows


def _terms(assembly: Assembly) -> Table:
    rows: Table = [("term", "weight", "reads", "turns")]
    for term in assembly.objective.terms:
        if isinstance(term, LossTerm):
            reads = "contests " + ", ".join(term.config.contests or [each.name for each in assembly.game.contests])
        else:
            sides = [f"{side} of each contest" for side in sorted(term.config.grad_wrt_sides)]
            reads = ", ".join([*term.config.tensors(), *sides]) or "its contests"
        turns = ", ".join(turn.name for turn in assembly.game.turns if term.joins(assembly.game, turn))
        rows.append((term.name, _weight(term.config), reads, turns))
    return rows


def _weight(config: TermConfig) -> str:
    weight = (
        config.weight.type_name() + " schedule" if isinstance(config.weight, ScheduleConfig) else f"{config.weight:g}"
    )
    return weight if config.every == 1 else f"{weight}, each {config.every}th turn"


def _turns(assembly: Assembly, active: dict[str, list[str]]) -> Table:
    rows: Table = [("turn", "moves", "minimises", "optimizer")]
    for turn in assembly.game.turns:
        name = turn.name if turn.repeats == 1 else f"{turn.name} ({turn.repeats} times)"
        optimizer = assembly.optimizer_configs()[turn.name].type_name()
        rows.append((name, ", ".join(turn.players), " + ".join(active[turn.name]), optimizer))
    return rows


def _giga(operations: float) -> str:
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if operations >= size:
            return f"{operations / size:.3g} {unit}"
    return f"{operations:,.0f}"
