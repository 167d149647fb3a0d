"""The objective of a turn (optimizer step): the weighted sum of its terms, which are losses and regularizers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.experiment import Experiment
from ganframe.config.schedules import value_at
from ganframe.config.terms import TermConfig
from ganframe.errors import BadInput
from ganframe.game.active_terms import ActiveTerms, Term
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.loss_term import LossTerm
from ganframe.game.regularizer_term import RegularizerTerm
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import name_of, source_of
from ganframe.randomness import Randomness


@dataclass
class ObjectiveValue:
    """The objective of a turn (optimizer step), computed over one batch.

    Attributes:
        total: The weighted sum of the terms, a scalar.
        terms: The value of each term, by its name: a scalar, not yet multiplied by the weight.
        weights: The weight of each term, by its name.
        game_round: The tensors of the batch.
        accuracies: Scalars of how often discriminators are right, by name; empty if not measured.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weights: dict[str, float | Tensor]
    game_round: Round
    accuracies: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def backward(self, passes: int = 1) -> None:
        """Add the gradient of `total / passes` to the parameters.

        Raises:
            BadInput: When no term depends on a parameter that trains in the turn.
        """
        if not self.total.requires_grad:
            turn = "" if self.game_round.turn is None else f" of the turn {self.game_round.turn.name!r}"
            message = f"no term{turn} gives a gradient to its players: {', '.join(self.terms) or 'there is none'}"
            remedy = "A term has to compute with what the players made, and not with detached or converted values."
            raise BadInput(message, path=("losses",), remedy=remedy)
        (self.total if passes == 1 else self.total / passes).backward()

    def scalars(self) -> dict[str, Tensor]:
        """Return the scalars to log: the terms, the weights that a balancer computed in this step, the accuracies."""
        found = {f"weight of {name}": weight for name, weight in self.weights.items() if isinstance(weight, Tensor)}
        return self.terms | found | self.accuracies


class Objective:
    """The weighted sum of terms that each turn (optimizer step) of a game minimises.

    Args:
        experiment: The config that lists the losses and regularizers.
        game: The game whose tensors the terms read.

    Attributes:
        terms: All terms, losses first.

    Raises:
        BadInput: When the game lacks something that a term needs, when a term takes part in no turn, or when a turn
            has no term.
    """

    def __init__(self, experiment: Experiment, game: Game) -> None:
        self.game = game
        self.terms: list[Term] = list(_build_terms(experiment))
        for term in self.terms:
            term.check(game)
            if not any(term.joins(game, turn) for turn in game.turns):
                message = f"{term.name!r} joins no turn; the game has: {', '.join(turn.name for turn in game.turns)}"
                raise BadInput(message, path=term.path)
        self._by_turn = {turn.name: [term for term in self.terms if term.joins(game, turn)] for turn in game.turns}
        self._active: dict[tuple[str, tuple[bool, ...]], ActiveTerms] = {}
        for turn in game.turns:
            if not self._by_turn[turn.name]:
                message = f"nothing to minimise in the turn {turn.name!r}"
                raise BadInput(message, path=("losses",), remedy="Add a loss, such as `losses: [non-saturating]`.")

    def active_terms(self, turn: Turn, progress: TrainingProgress) -> ActiveTerms:
        """Return the terms that take part in a turn (optimizer step) now; a lazy term takes part only in each k-th."""
        terms = self._by_turn[turn.name]
        due = tuple([term.config.is_active(progress.turn_count, progress.images, progress.total) for term in terms])
        if (turn.name, due) not in self._active:
            self._active[turn.name, due] = ActiveTerms(
                tuple(term for term, is_due in zip(terms, due, strict=True) if is_due)
            )
        return self._active[turn.name, due]

    def open_round(self, game_round: Round, turn: Turn, progress: TrainingProgress) -> Round:
        """Return the batch for use in a turn: tensors that its terms differentiate by will require a gradient."""
        active = self.active_terms(turn, progress)
        return game_round.in_turn(
            turn, grad_wrt_sides=active.grad_wrt_sides, requires_grad_tensors=active.requires_grad_tensors
        )

    def __call__(self, game_round: Round, turn: Turn, progress: TrainingProgress) -> ObjectiveValue:
        """Compute the objective of a turn (optimizer step): the weighted sum of its `active_terms`; 0 if none.

        Args:
            game_round: The tensors of the batch, from `open_round`.
            turn: The turn.
            progress: The point of the run, which decides which terms take part and with which weights.
        """
        terms: dict[str, Tensor] = {}
        weights: dict[str, float | Tensor] = {}
        weighted: list[Tensor] = []
        for term in self.active_terms(turn, progress).terms:
            try:
                terms[term.name] = value = term.value(game_round, turn)
            except BadInput as problem:
                raise problem.within(*term.path) from problem.__cause__
            except Exception as problem:
                problem.add_note(f"in the term {term.name!r} of the turn {turn.name!r}")
                raise
            # A lazy term takes part only in each k-th turn; k times the weight keeps its mean over the turns the same.
            weight = value_at(term.config.weight, progress.images, progress.total) * term.config.every
            weights[term.name] = weight
            weighted.append(value if weight == 1 else weight * value)
        return ObjectiveValue(_sum(weighted), terms, weights, game_round)

    def decision_threshold(self, contest: Contest) -> float | None:
        """Return the logit above which a sample counts as real, from the first loss that scores the contest.

        None if no loss scores the contest, or if that loss has no threshold.
        """
        for term in self.terms:
            if isinstance(term, LossTerm) and term.scores(contest):
                return term.config.decision_threshold
        return None

    def terms_of(self, turn: Turn) -> list[Term]:
        """Return the terms that take part in a turn (optimizer step) at any time of the run."""
        return self._by_turn[turn.name]

    def trainable_parameters(self, turn: Turn) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of the terms themselves, which train in a turn with its players, by the term's name."""
        found = {
            term.name: [parameter for parameter in term.live.parameters() if parameter.requires_grad]
            for term in self._by_turn[turn.name]
            if isinstance(term.live, nn.Module)
        }
        return {name: parameters for name, parameters in found.items() if parameters}

    def stateful_terms(self) -> dict[str, Any]:
        """Return the built losses and regularizers whose state dict is not empty, by the term's name."""
        return {term.name: term.live for term in self.terms if getattr(term.live, "state_dict", dict)()}


@dataclass(frozen=True)
class TurnObjective:
    """The objective at one point of a run, as the function that `Game.play` is given.

    Attributes:
        objective: The objective of all turns.
        progress: The point of the run.
    """

    objective: Objective
    progress: TrainingProgress

    def __call__(self, game_round: Round, turn: Turn | None = None) -> ObjectiveValue:
        """Compute the weighted sum of the terms that take part in a turn at this point of the run.

        Args:
            game_round: The tensors of the batch.
            turn: The turn; if None, `game_round.turn`.
        """
        if turn is not None:
            game_round = self.objective.open_round(game_round, turn, self.progress)
        assert game_round.turn is not None
        return self.objective(game_round, game_round.turn, self.progress)


def play(game: Game, game_round: Round, objective: TurnObjective) -> ObjectiveValue:
    """Call `game.play` and check that it returned an `ObjectiveValue`.

    Raises:
        BadInput: When it returned anything else.
    """
    value: Any = game.play(game_round, objective)
    if not isinstance(value, ObjectiveValue):
        what, remedy = type(value).__name__, "Return `objective(game_round)`, or a value with another `total`."
        message = f"{name_of(type(game).play)} returned {what}"
        raise BadInput(message, place=source_of(type(game).play), remedy=remedy)
    return value


def _build_terms(experiment: Experiment) -> Iterator[Term]:
    counts: dict[str, int] = {}

    def unique_name(config: TermConfig) -> str:
        name = config.type_name()
        counts[name] = counts.get(name, 0) + 1
        return name if counts[name] == 1 else f"{name}-{counts[name]}"

    def seeded_name(config: TermConfig) -> str:
        """Return the name of a term, and seed the initialisation of its parameters."""
        name = unique_name(config)
        Randomness(experiment.seed).at("term", name).seed_torch("initialisation")
        return name

    with torch.random.fork_rng(devices=[]):
        for index, loss in enumerate(experiment.losses):
            yield LossTerm(seeded_name(loss), ("losses", index), loss)
        for index, regularizer in enumerate(experiment.regularizers):
            yield RegularizerTerm(seeded_name(regularizer), ("regularizers", index), regularizer)


def _sum(values: list[Tensor]) -> Tensor:
    if len(values) == 1:
        return values[0]
    return torch.stack(values).sum() if values else torch.zeros(())
