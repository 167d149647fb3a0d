"""The objective of a turn: every term that joins it, summed with its weight."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganframe.config import LossConfig, RegularizerConfig, TermConfig, value_at
from ganframe.errors import BadInput, Path, within
from ganframe.experiment import Experiment
from ganframe.game import Contest, Game, Round, Side, Turn
from ganframe.gathered import gathered
from ganframe.protocols import LabelPolicy, Loss, Regularizer, Verdict


@dataclass(frozen=True)
class Moment:
    """Where in the run a turn is taken: all that lazy intervals and schedules depend on.

    Attributes:
        turn_count: How often this turn was taken before.
        images: Real examples seen before this step.
        total: Real examples of the whole run.
    """

    turn_count: int
    images: int
    total: int


@dataclass
class Sum:
    """A turn's objective and what it consists of: the terms by name, before their weights."""

    total: Tensor
    terms: dict[str, Tensor]


class LossTerm:
    """An adversarial loss over the contests that it scores."""

    def __init__(self, name: str, path: Path, config: LossConfig) -> None:
        self.name, self.path, self.config = name, path, config
        with within(*path):
            self.live: Loss = config.build()
        self.policies: list[LabelPolicy] = [policy.build() for policy in config.labels]

    def check(self, game: Game) -> None:
        """Refuse a loss that the game cannot give what it reads."""
        _check_turns(game, self.config, self.path)
        known = [contest.name for contest in game.contests]
        for name in self.config.contests or ():
            if name not in known:
                message = f"the game has no contest {name!r}; it has: {', '.join(known) or 'none'}"
                raise BadInput(message, path=(*self.path, "contests"))
        if not known:
            raise BadInput(f"{self.name!r} scores contests, but the game has none", path=self.path)
        if self.policies and not self.config.takes_targets:
            message = f"{self.name!r} compares reals with fakes and takes no targets, so no label policy fits it"
            raise BadInput(message, path=(*self.path, "labels"))
        with within(*self.path):
            self.config.check(game)
        for contest in self._scored(game.contests):
            _check_judge(game, contest.discriminator, self.config, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Whether the loss scores a contest of this turn."""
        chosen = self.config.turns is None or turn.name in self.config.turns
        return chosen and bool(self._scored(game.contests_of(turn)))

    def value(self, round: Round, turn: Turn) -> Tensor:
        """The loss over its contests in this turn."""
        round = gathered(round) if self.config.batch_coupled else round
        scores: list[Tensor] = []
        for contest in self._scored(round.contests):
            score = round.game.score(self.live, turn, *self._sides(round, turn, contest))
            scores.append(score if contest.weight == 1 else contest.weight * score)
        return _total(scores)

    def scores(self, contest: Contest) -> bool:
        """Whether the loss scores a contest."""
        return bool(self._scored([contest]))

    def _scored(self, contests: Iterable[Contest]) -> list[Contest]:
        chosen = self.config.contests
        return [contest for contest in contests if chosen is None or contest.name in chosen]

    def _sides(self, round: Round, turn: Turn, contest: Contest) -> tuple[Verdict, Verdict]:
        if not self.policies or not round.game.is_discriminator_turn(turn):
            return round.pending(contest, "real"), round.pending(contest, "fake")
        return self._with_target(round, contest, "real"), self._with_target(round, contest, "fake")

    def _with_target(self, round: Round, contest: Contest, side: Side) -> Verdict:
        shard, draws = round.randomness.shard, round.randomness.whole()
        target = torch.full((round.size * shard.ranks,), float(side == "real"), device=round.device)
        for number, policy in enumerate(self.policies):
            purpose = f"{self.name} label policy {number} {contest.name} {side}"
            target = policy.forward(target, side == "real", draws.generator(purpose, round.device))
        return dataclasses.replace(round.verdict(contest, side), target=shard.of(target))


class RegularizerTerm:
    """Any other term."""

    def __init__(self, name: str, path: Path, config: RegularizerConfig) -> None:
        self.name, self.path, self.config = name, path, config
        with within(*path):
            self.live: Regularizer = config.build()

    def check(self, game: Game) -> None:
        """Refuse a regularizer that asks for what the game lacks."""
        for name in (*self.config.tensors(), *self.config.leaves()):
            if name not in game.names:
                message = f"{self.name!r} reads the tensor {name!r}, which the game does not have"
                raise BadInput(message, path=self.path, remedy=f"It has: {', '.join(game.names)}.")
        with within(*self.path):
            self.config.check(game)
        _check_turns(game, self.config, self.path)
        for name in sorted(self._movers(game)) if self.config.calls else ():
            network = game.roles()[name].config
            lacks = sorted(self.config.calls - network.gives)
            if lacks:
                message = (
                    f"{self.name!r} calls {', '.join(lacks)}, which {network.type_name()!r} ({name}) does not have"
                )
                raise BadInput(message, path=self.path)
        needs_contest = self.config.input_gradients or self.config.differentiates_twice or self.config.reads
        if needs_contest and not game.contests:
            raise BadInput(f"{self.name!r} reads a contest, but the game has none", path=self.path)
        for judge in sorted(game.discriminators) if needs_contest else ():
            _check_judge(game, judge, self.config, self.path)

    def joins(self, game: Game, turn: Turn) -> bool:
        """Whether the term belongs to this turn."""
        if self.config.turns is not None:
            return turn.name in self.config.turns
        side = "discriminator" if game.is_discriminator_turn(turn) else "generator"
        return self.config.side in (side, "both")

    def _movers(self, game: Game) -> set[str]:
        """The generators that move in the turns of the term."""
        return {name for turn in game.turns if self.joins(game, turn) for name in turn.moves} - game.discriminators

    def value(self, round: Round, turn: Turn) -> Tensor:
        """The penalty."""
        return self.live.forward(gathered(round) if self.config.batch_coupled else round)


Term = LossTerm | RegularizerTerm


@dataclass(frozen=True)
class Plan:
    """The terms that take part in a turn at some moment, and what they ask of its round."""

    terms: tuple[Term, ...]

    @functools.cached_property
    def _regularizers(self) -> list[RegularizerConfig]:
        return [term.config for term in self.terms if isinstance(term, RegularizerTerm)]

    @functools.cached_property
    def input_gradients(self) -> frozenset[Side]:
        """The sides whose samples some term differentiates by."""
        return frozenset[Side]().union(*(config.input_gradients for config in self._regularizers))

    @functools.cached_property
    def leaves(self) -> frozenset[str]:
        """The tensors that some term differentiates by."""
        return frozenset[str]().union(*(config.leaves() for config in self._regularizers))

    @functools.cached_property
    def differentiates_twice(self) -> bool:
        """Whether some term differentiates through a player, so that the objective has second derivatives."""
        return any(
            config.differentiates_twice or config.input_gradients or config.leaves() for config in self._regularizers
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
        self._plans: dict[tuple[str, tuple[bool, ...]], Plan] = {}
        for turn in game.turns:
            if not self._joining[turn.name]:
                message = f"nothing to minimise in the turn {turn.name!r}"
                raise BadInput(message, path=("losses",), remedy="Add a loss, such as `losses: [non-saturating]`.")

    def plan(self, turn: Turn, moment: Moment) -> Plan:
        """The terms that take part in a turn this time."""
        due = tuple([moment.turn_count % interval == 0 for interval in self._intervals[turn.name]])
        found = self._plans.get((turn.name, due))
        if found is None:
            found = Plan(tuple(itertools.compress(self._joining[turn.name], due)))
            self._plans[turn.name, due] = found
        return found

    def __call__(self, round: Round, turn: Turn, moment: Moment) -> Sum:
        """The weighted sum over the active terms. A turn with none this time has the objective 0."""
        terms: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for term in self.plan(turn, moment).terms:
            try:
                terms[term.name] = value = term.value(round, turn)
            except BadInput as problem:
                raise problem.within(*term.path) from None
            weight = value_at(term.config.weight, moment.images, moment.total) * term.config.every
            weighted.append(value if weight == 1 else weight * value)
        return Sum(_total(weighted), terms)

    def at(self, turn: Turn, moment: Moment) -> Callable[..., Sum]:
        """What `Game.play` is given: the objective of a turn over a round, or that of another turn over the same round.

        The round enters the turn that is asked for, with fresh verdicts.
        """

        def objective(round: Round, other: Turn = turn) -> Sum:
            plan = self.plan(other, moment)
            round.enter(other, plan.input_gradients, plan.leaves)
            return self(round, other, moment)

        return objective

    def boundary(self, contest: Contest) -> float | None:
        """The logit above which a sample of a contest counts as taken for real, by the first loss that scores it."""
        found = (term.config.boundary for term in self.terms if isinstance(term, LossTerm) and term.scores(contest))
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


def _check_turns(game: Game, config: TermConfig, path: Path) -> None:
    turns = [turn.name for turn in game.turns]
    for name in config.turns or ():
        if name not in turns:
            message = f"the game has no turn {name!r}; it has: {', '.join(turns)}"
            raise BadInput(message, path=(*path, "turns"))


def _check_judge(game: Game, judge: str, config: LossConfig | RegularizerConfig, path: Path) -> None:
    network = game.roles()[judge].config
    lacks = sorted(config.reads - getattr(network, "gives", frozenset()))
    if lacks:
        message = f"{config.type_name()!r} reads {', '.join(lacks)}, which {network.type_name()!r} does not give"
        raise BadInput(message, path=path)
    twice = isinstance(config, RegularizerConfig) and (config.input_gradients or config.differentiates_twice)
    if twice and not getattr(network, "second_order", True):
        message = f"{config.type_name()!r} differentiates twice, which {network.type_name()!r} does not support"
        raise BadInput(message, path=path)


def _total(values: Iterable[Tensor]) -> Tensor:
    values = list(values)
    if len(values) == 1:
        return values[0]
    return torch.stack(values).sum() if values else torch.zeros(())
