"""The objective of a turn: every term that joins it, summed with its weight."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganframe.config.experiment import Experiment
from ganframe.config.schedules import value_at
from ganframe.config.terms import RegularizerConfig, TermConfig
from ganframe.errors import BadInput
from ganframe.game.contest import Contest, Side
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.game.terms import LossTerm, RegularizerTerm, Term, _total
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn


@dataclass
class ObjectiveValue:
    """A turn's objective and what it consists of: the terms by name, before their weights."""

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class ActiveTerms:
    """The terms that take part in a turn at some moment, and what they ask of its round."""

    terms: tuple[Term, ...]

    @functools.cached_property
    def _regularizers(self) -> list[RegularizerConfig]:
        return [term.config for term in self.terms if isinstance(term, RegularizerTerm)]

    @functools.cached_property
    def grad_wrt_sides(self) -> frozenset[Side]:
        """The sides whose samples some term differentiates by."""
        return frozenset[Side]().union(*(config.grad_wrt_sides for config in self._regularizers))

    @functools.cached_property
    def requires_grad_tensors(self) -> frozenset[str]:
        """The tensors that some term differentiates by."""
        return frozenset[str]().union(*(config.requires_grad_tensors() for config in self._regularizers))

    @functools.cached_property
    def needs_double_backward(self) -> bool:
        """Whether some term differentiates through a player, so that the objective has second derivatives."""
        return any(
            config.needs_double_backward or config.grad_wrt_sides or config.requires_grad_tensors() for config in self._regularizers
        )


class Objective:
    """Sums the terms of each turn.

    Raises:
        BadInput: When a term asks for what the game lacks, or a turn has no term.
    """

    def __init__(self, experiment: Experiment, game: Game) -> None:
        self.game = game
        self.terms = list(_terms(experiment))
        for term in self.terms:
            term.check(game)
            if not any(term.joins(game, turn) for turn in game.turns):
                message = f"{term.name!r} joins no turn; the game has: {', '.join(turn.name for turn in game.turns)}"
                raise BadInput(message, path=term.path)
        self._joining = {turn.name: [term for term in self.terms if term.joins(game, turn)] for turn in game.turns}
        self._intervals = {name: [term.config.every for term in terms] for name, terms in self._joining.items()}
        self._plans: dict[tuple[str, tuple[bool, ...]], ActiveTerms] = {}
        for turn in game.turns:
            if not self._joining[turn.name]:
                message = f"nothing to minimise in the turn {turn.name!r}"
                raise BadInput(message, path=("losses",), remedy="Add a loss, such as `losses: [non-saturating]`.")

    def active_terms(self, turn: Turn, progress: TrainingProgress) -> ActiveTerms:
        """The terms that take part in a turn this time."""
        due = tuple([progress.turn_count % interval == 0 for interval in self._intervals[turn.name]])
        found = self._plans.get((turn.name, due))
        if found is None:
            found = ActiveTerms(tuple(itertools.compress(self._joining[turn.name], due)))
            self._plans[turn.name, due] = found
        return found

    def __call__(self, game_round: Round, turn: Turn, progress: TrainingProgress) -> ObjectiveValue:
        """The weighted sum over the active terms. A turn with none this time has the objective 0."""
        terms: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for term in self.active_terms(turn, progress).terms:
            try:
                terms[term.name] = value = term.value(game_round, turn)
            except BadInput as problem:
                raise problem.within(*term.path) from None
            weight = value_at(term.config.weight, progress.images, progress.total) * term.config.every
            weighted.append(value if weight == 1 else weight * value)
        return ObjectiveValue(_total(weighted), terms)

    def at(self, turn: Turn, progress: TrainingProgress) -> Callable[..., ObjectiveValue]:
        """What `Game.play` is given: the objective of a turn over a round, or that of another turn over the same round.

        The round enters the turn that is asked for, with fresh verdicts.
        """

        def objective(game_round: Round, other: Turn = turn) -> ObjectiveValue:
            active_terms = self.active_terms(other, progress)
            game_round.enter(other, active_terms.grad_wrt_sides, active_terms.requires_grad_tensors)
            return self(game_round, other, progress)

        return objective

    def decision_threshold(self, contest: Contest) -> float | None:
        """The logit above which a sample of a contest counts as taken for real, by the first loss that scores it."""
        found = (term.config.decision_threshold for term in self.terms if isinstance(term, LossTerm) and term.scores(contest))
        return next(found, None)

    def stateful(self) -> dict[str, Any]:
        """The live terms that keep state of their own, by name."""
        return {term.name: term.live for term in self.terms if getattr(term.live, "state_dict", dict)()}


def _terms(experiment: Experiment) -> Iterator[Term]:
    taken: dict[str, int] = {}

    def named(config: TermConfig) -> str:
        name = config.type_name()
        taken[name] = taken.get(name, 0) + 1
        return name if taken[name] == 1 else f"{name}-{taken[name]}"

    for index, loss in enumerate(experiment.losses):
        yield LossTerm(named(loss), ("losses", index), loss)
    for index, regularizer in enumerate(experiment.regularizers):
        yield RegularizerTerm(named(regularizer), ("regularizers", index), regularizer)
