"""A dry run of each turn (optimizer step) of a game, which finds the shapes of tensors and the cost of a step."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganframe.config.experiment import Experiment
from ganframe.data.class_labels import labels_to_balance
from ganframe.data.loader import BatchLoader
from ganframe.data.open_data import open_dataset
from ganframe.data.summary import DataSummary, summarize
from ganframe.errors import within
from ganframe.game.active_terms import ActiveTerms
from ganframe.game.objective import TurnObjective, play
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.training.assembly import Assembly

EXAMPLES = 2
"""The batch size of the dry run."""

MAX_TURNS = 10_000
"""Maximum number of turns over which to count how often each set of terms takes part."""


@dataclass
class TrialTurns:
    """The result of a dry run of each turn (optimizer step) of a game.

    Attributes:
        shapes: The shape of each tensor that was made, by name and without the batch axis; a tuple of shapes for a
            tuple of tensors.
        operations: The mean number of floating-point operations in matrix products, for one example in one training
            step.
        data: The number of examples in the data set, and what was left out of it.
        labels: The class of each example `(N,)` if classes are drawn equally often; otherwise None.
    """

    shapes: dict[str, Any]
    operations: float
    data: DataSummary
    labels: Tensor | None = None


def take_trial_turns(assembly: Assembly) -> TrialTurns:
    """Run every turn (optimizer step) forward and backward on two examples, without an update.

    A turn is run once for each set of terms that takes part in it at some time of the run.
    """
    game = assembly.game
    with within("data"):
        dataset = open_dataset(assembly.experiment.data)
        summary = summarize(dataset)
    batch = next(BatchLoader(dataset, EXAMPLES, Randomness(0), assembly.device).starting_at(0))
    batch = assembly.growing.resize(batch, 0)
    found = TrialTurns({name: _shape(value) for name, value in batch.items()}, 0.0, summary)
    found.labels = labels_to_balance(assembly.experiment.train.balance_classes, dataset, game.data)
    memory = dict(game.memory)
    for turn in game.turns:
        for progress, share in _kinds_of_turn(assembly, turn):
            game_round = Round(game, batch, size=EXAMPLES, device=assembly.device, randomness=Randomness(0))
            counter = _CountOperations()
            game_round = assembly.objective.open_round(game_round, turn, progress)
            with game.only_trainable(turn.players), counter:
                play(game, game_round, TurnObjective(assembly.objective, progress)).backward()
            found.operations += counter.total / EXAMPLES * turn.repeats * share
            found.shapes |= {name: _shape(value) for name, value in game_round.made().items()}
    game.memory = memory
    return found


def _kinds_of_turn(assembly: Assembly, turn: Turn) -> list[tuple[TrainingProgress, float]]:
    """Return, for each set of terms that takes part together, its first point in the run and its share of the turns."""
    objective, total = assembly.objective, assembly.experiment.train.total_images
    count = min(math.lcm(*(term.config.every for term in objective.terms)), MAX_TURNS)
    first: dict[ActiveTerms, TrainingProgress] = {}
    shares = Counter[ActiveTerms]()
    for start, share in _intervals(assembly.experiment):
        for turn_count in range(count):
            progress = TrainingProgress(turn_count, start, total)
            active = objective.active_terms(turn, progress)
            first.setdefault(active, progress)
            shares[active] += share / count  # pyright: ignore[reportArgumentType]
    return [(first[active], shares[active]) for active in first if active.terms]


def _intervals(experiment: Experiment) -> list[tuple[int, float]]:
    """Split the run at the images where terms begin or end; return the start of each part and its share of the run."""
    total = experiment.train.total_images
    terms = (*experiment.losses, *experiment.regularizers)
    ends = {end for term in terms for end in (term.from_images, term.until_images or total) if end < total}
    starts = sorted({0, *ends})
    return [(start, (end - start) / total) for start, end in zip(starts, [*starts[1:], total], strict=True)]


class _CountOperations(TorchDispatchMode):
    """A context that counts the floating-point operations in matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0
        # `FlopCounterMode` itself is not entered, because its hooks on modules make a gradient penalty fail.
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
