"""The objective of a turn: which terms take part, with which weights, over which contests and targets."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest
import torch
from line_game import (
    CPU,
    PAIRS,
    Between,
    G,
    JudgeConfig,
    LineConfig,
    MakerConfig,
    OfJudge,
    OfMaker,
    Path1,
    Square,
    Unbounded,
    W,
    Watch,
    batch,
    begin,
    judge_loss,
    live,
    maker_loss,
)
from torch import Tensor

from ganframe import BadInput
from ganframe.builtin.schedules import Linear
from ganframe.config.tensor_specs import TensorSpec
from ganframe.config.terms import LabelPolicyConfig, RegularizerConfig
from ganframe.distributed.shard import Shard
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.loss_term import LossTerm
from ganframe.game.objective import Objective, TurnObjective
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.regularizer_term import RegularizerTerm
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness


def objective_of(game: LineConfig | None = None, **terms: Any) -> tuple[Objective, Game]:
    trainer = begin(**({} if game is None else {"game": game}), **terms)
    return trainer.objective, trainer.game


def open_round(game: Game, randomness: Randomness | None = None) -> Round:
    game_round = Round(game, batch(*PAIRS[0]), size=2, device=CPU, randomness=randomness or Randomness(0))
    return game_round.in_turn(game.turns[0])


REAL, LATENT = PAIRS[0]
FIRST = judge_loss(W, G, REAL, LATENT)
SECOND = judge_loss(W, 1.0, REAL, LATENT)  # its fake is the latent itself


def test_contests_are_summed_with_their_weights() -> None:
    objective, game = objective_of(LineConfig(weights=(0.5, 1.0)))
    found = objective(open_round(game), game.turns[0], TrainingProgress(0, 0, 100))
    assert found.total.item() == pytest.approx(0.5 * FIRST + SECOND)
    assert found.terms["square"].item() == pytest.approx(0.5 * FIRST + SECOND)
    making = maker_loss(W, G, LATENT) * 0.5 + maker_loss(W, 1.0, LATENT)
    game_round = open_round(game).in_turn(game.turns[1])
    assert objective(game_round, game.turns[1], TrainingProgress(0, 0, 100)).total.item() == pytest.approx(making)


def test_a_loss_scores_the_contests_that_it_names() -> None:
    objective, game = objective_of(
        LineConfig(weights=(0.5, 1.0)), losses=(Square(contests=("second",)), Square(contests=("judge",), weight=3))
    )
    found = objective(open_round(game), game.turns[0], TrainingProgress(0, 0, 100))
    assert {name: each.item() for name, each in found.terms.items()} == pytest.approx(
        {"square": SECOND, "square-2": 0.5 * FIRST}
    )
    assert found.total.item() == pytest.approx(SECOND + 3 * 0.5 * FIRST)


def test_a_lazy_term_weighs_as_often_as_it_is_left_out_by_the_schedule_of_its_moment() -> None:
    ramp = Linear(start=1, end=0)
    objective, game = objective_of(losses=(Square(weight=0.5),), regularizers=(Watch(weight=ramp, every=4), Watch()))
    turn = game.turns[0]
    due = objective(open_round(game), turn, TrainingProgress(8, 25, 100))
    assert {name: each.item() for name, each in due.terms.items()} == pytest.approx(
        {"square": FIRST, "watch": G, "watch-2": G}
    )
    assert due.total.item() == pytest.approx(0.5 * FIRST + 0.75 * 4 * G + G)
    between = objective(open_round(game), turn, TrainingProgress(9, 25, 100))
    assert set(between.terms) == {"square", "watch-2"}
    assert between.total.item() == pytest.approx(0.5 * FIRST + G)


def test_a_turn_without_a_term_this_time_has_the_objective_0() -> None:
    objective, game = objective_of(losses=(Square(every=2),))
    found = objective(open_round(game), game.turns[0], TrainingProgress(1, 0, 100))
    assert (found.total.item(), found.terms) == (0, {})


def test_terms_of_one_type_are_numbered_losses_first() -> None:
    objective, _ = objective_of(losses=(Square(), Unbounded(), Square()), regularizers=(Watch(), Watch(), Watch()))
    assert [term.name for term in objective.terms] == ["square", "unbounded", "square-2", "watch", "watch-2", "watch-3"]
    assert [term.path for term in objective.terms][2:4] == [("losses", 2), ("regularizers", 0)]


class Pull(LabelPolicyConfig):
    """Draws targets towards a value by half."""

    type: Literal["pull"] = "pull"
    to: float = 0.5
    """The value."""

    def build(self) -> Any:
        return Pulling(self.to)


class Pulling:
    def __init__(self, to: float) -> None:
        self.to = to
        self.seen = list[tuple[bool, list[float]]]()
        self.seeds = list[int]()

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        self.seen.append((real, target.tolist()))
        self.seeds.append(generator.initial_seed())
        return (target + self.to) / 2


def test_label_policies_are_told_the_side_and_its_target_one_after_the_other() -> None:
    losses = (Square(labels=(Pull(to=0.5), Pull(to=0.0))),)
    trainer = begin([batch(*PAIRS[0])], losses=losses)
    trainer.step()
    first, second = trainer.objective.terms[0].policies  # pyright: ignore[reportAttributeAccessIssue]
    assert first.seen == [(True, [1.0, 1.0]), (False, [0.0, 0.0])]
    assert second.seen == [(True, [0.75, 0.75]), (False, [0.25, 0.25])]
    # In the maker's turn there are no targets.
    assert live(trainer).targets == [([0.375, 0.375], [0.125, 0.125]), None]


def test_label_policies_draw_by_loss_contest_side_number_and_step() -> None:
    losses = (Square(labels=(Pull(), Pull())), Square(labels=(Pull(),)))
    trainer = begin([batch(*PAIRS[0])] * 2, losses=losses, game=LineConfig(weights=(1.0, 1.0)))
    trainer.step()
    trainer.step()
    policies = [policy for term in trainer.objective.terms for policy in term.policies]  # pyright: ignore[reportAttributeAccessIssue]
    seeds = [seed for policy in policies for seed in policy.seeds]
    assert len(seeds) == len(set(seeds)) == 3 * 2 * 2 * 2


def test_a_rank_has_its_rows_of_the_targets_of_all() -> None:
    class Ranked(Pulling):
        def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
            super().forward(target, real, generator)
            return torch.arange(len(target)) / 4 + float(real)

    objective, game = objective_of(losses=(Square(labels=(Pull(),)),))
    policy = Ranked(0)
    objective.terms[0].policies = [policy]  # pyright: ignore[reportAttributeAccessIssue]
    place = Randomness(0).at("x")
    objective(open_round(game, Randomness(0, ("x",), Shard(1, 2))), game.turns[0], TrainingProgress(0, 0, 100))
    assert objective.terms[0].live.targets == [([1.5, 1.75], [0.5, 0.75])]  # pyright: ignore[reportAttributeAccessIssue]
    assert policy.seen == [(True, [1.0] * 4), (False, [0.0] * 4)]
    assert policy.seeds[0] == place.generator("square label policy 0 judge real").initial_seed()


def test_the_boundary_of_a_contest_is_that_of_the_first_loss_which_scores_it() -> None:
    losses = (Unbounded(contests=("second",)), Square())
    objective, game = objective_of(LineConfig(weights=(1.0, 1.0)), losses=losses, regularizers=(Watch(),))
    assert [objective.decision_threshold(each) for each in game.contests] == [0.5, None]
    assert objective.decision_threshold(Contest("nobody", real="real", fake="fake")) == 0.5
    objective, game = objective_of(LineConfig(weights=(1.0, 1.0)), losses=(Square(contests=("second",)), OfNone()))
    assert [objective.decision_threshold(each) for each in game.contests] == [0.125, 0.5]


class OfNone(Square):
    """Has a boundary of its own."""

    type: Literal["of-none"] = "of-none"  # pyright: ignore[reportIncompatibleVariableOverride]
    decision_threshold = 0.125


def test_a_regularizer_joins_the_turns_of_its_side_or_those_named() -> None:
    objective, game = objective_of(
        regularizers=(OfJudge(), OfMaker(), Watch(), OfJudge(turns=("making",)), OfMaker(turns=("judging",)))
    )
    names = {
        turn.name: [term.name for term in objective.active_terms(turn, TrainingProgress(0, 0, 1)).terms]
        for turn in game.turns
    }
    assert names == {
        "judging": ["square", "of-judge", "watch", "of-maker-2"],
        "making": ["square", "of-maker", "watch", "of-judge-2"],
    }


def test_active_terms_ask_for_what_they_differentiate_by() -> None:
    objective, game = objective_of(regularizers=(OfJudge(every=2), Path1(every=3), Between(every=5)))
    found: dict[tuple[str, int], Any] = {}
    for turn in game.turns:
        for count in (1, 2, 3, 5):
            active = objective.active_terms(turn, TrainingProgress(count, 0, 1))
            found[turn.name, count] = (
                set(active.grad_wrt_sides),
                set(active.requires_grad_tensors),
                active.needs_double_backward,
            )
    none = (set[str](), set[str](), False)
    assert found == {
        ("judging", 1): none,
        ("judging", 2): ({"fake"}, set[str](), True),
        ("judging", 3): none,
        ("judging", 5): (set[str](), set[str](), True),
        ("making", 1): none,
        ("making", 2): none,
        ("making", 3): (set[str](), {"latent"}, True),
        ("making", 5): none,
    }


def test_what_any_active_term_differentiates_by_is_asked_for() -> None:
    objective, game = objective_of(regularizers=(Watch(), OfJudge(), OfReal()))
    active = objective.active_terms(game.turns[0], TrainingProgress(0, 0, 1))
    assert active.grad_wrt_sides == {"real", "fake"}


def test_a_loss_scores_the_contests_that_count_in_its_turn() -> None:
    objective, game = objective_of()
    others = Contest("judge", real="real", fake="latent", generators=("nobody",), name="second")
    game.contests = (*game.contests, others)
    for turn, loss in zip(game.turns, (FIRST + SECOND, maker_loss(W, G, LATENT)), strict=True):
        found = objective(open_round(game).in_turn(turn), turn, TrainingProgress(0, 0, 100))
        assert found.total.item() == pytest.approx(loss)


def test_the_objective_of_another_turn_is_taken_in_that_turn() -> None:
    objective, game = objective_of(regularizers=(OfJudge(), Path1()))
    judging, making = game.turns
    progress = TrainingProgress(0, 0, 100)
    taken = TurnObjective(objective, progress)
    game_round = objective.open_round(open_round(game), making, progress)
    other = taken(game_round, judging)
    assert other.game_round.turn is judging
    assert set(other.terms) == {"square", "of-judge"}
    fake = other.game_round.discriminator_output(game.contests[0], "fake")
    assert isinstance(fake.sample, Tensor)
    assert fake.sample.requires_grad
    own = taken(game_round)
    assert own.game_round is game_round
    assert game_round.turn is making
    assert set(own.terms) == {"square", "path"}
    assert game_round["latent"].requires_grad


class OfReal(Watch):
    """Of judges, differentiating by reals."""

    type: Literal["of-real"] = "of-real"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "discriminator"
    grad_wrt_sides = frozenset({"real"})


def test_in_another_turn_what_its_own_terms_differentiate_by_is_ready() -> None:
    objective, game = objective_of(regularizers=(OfReal(), Path1()))
    judging, making = game.turns
    for taken, other in ((making, judging), (judging, making)):
        progress = TrainingProgress(0, 0, 100)
        game_round = objective.open_round(open_round(game), taken, progress)
        found = TurnObjective(objective, progress)(game_round, other).game_round
        sample = found.discriminator_output(game.contests[0], "real").sample
        assert isinstance(sample, Tensor)
        assert sample.requires_grad == (other is judging)
        assert other is judging or found["latent"].requires_grad


def test_the_sides_that_a_term_differentiates_by_are_ready_for_it() -> None:
    trainer = begin([batch(*PAIRS[0])], regularizers=(OfJudge(),))
    contest = trainer.game.contests[0]
    sides = ("real", "fake")
    live(trainer).look = lambda game_round: [
        game_round.discriminator_output(contest, side).sample.requires_grad for side in sides
    ]
    trainer.step()
    assert live(trainer).seen == [[False, True]]


def test_only_terms_with_a_state_keep_one() -> None:
    objective, _ = objective_of(regularizers=(Watch(), OfMaker()))
    live: Any = objective.terms[2].live
    live.state_dict = lambda: {"count": 1}
    empty: Any = objective.terms[1].live
    empty.state_dict = dict
    assert objective.stateful_terms() == {"of-maker": live}


class Coupled(Watch):
    """More than a mean over examples."""

    type: Literal["coupled"] = "coupled"  # pyright: ignore[reportIncompatibleVariableOverride]
    batch_coupled = True


class CoupledLoss(Square):
    """More than a mean over examples."""

    type: Literal["coupled-loss"] = "coupled-loss"  # pyright: ignore[reportIncompatibleVariableOverride]
    batch_coupled = True


def test_terms_that_are_more_than_a_mean_see_the_round_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, game = objective_of(losses=(Square(), CoupledLoss()), regularizers=(Watch(), Coupled()))
    for term in objective.terms[2:]:
        term.live.look = lambda game_round: game_round  # pyright: ignore[reportAttributeAccessIssue]
    other = Round(game, batch([1.0], [2.0]), size=1, device=CPU, randomness=Randomness(0))
    other = other.in_turn(game.turns[0])
    for module in ("loss_term", "regularizer_term"):
        monkeypatch.setattr(f"ganframe.game.{module}.gather_round", lambda game_round: other)
    own = open_round(game)
    found = objective(own, game.turns[0], TrainingProgress(0, 0, 100)).terms
    assert found["square"].item() == pytest.approx(FIRST)
    assert found["coupled-loss"].item() == pytest.approx(judge_loss(W, G, [1.0], [2.0]))
    assert [term.live.seen for term in objective.terms[2:]] == [[own], [other]]  # pyright: ignore[reportAttributeAccessIssue]


class Refuses(Watch):
    """Refuses the round."""

    type: Literal["refuses"] = "refuses"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> Any:
        class Refusing:
            def forward(self, game_round: Round) -> Tensor:
                raise BadInput("not such a round", path=("layers", 0))

        return Refusing()


def test_a_term_that_refuses_its_round_is_named_by_its_place() -> None:
    objective, game = objective_of(regularizers=(Watch(), Refuses()))
    with pytest.raises(BadInput, match="not such a round") as problem:
        objective(open_round(game), game.turns[0], TrainingProgress(0, 0, 100))
    assert problem.value.path == ("regularizers", 1, "layers", 0)


class Reads(Watch):
    """Reads class logits."""

    type: Literal["reads"] = "reads"  # pyright: ignore[reportIncompatibleVariableOverride]
    requires_outputs = frozenset({"class_logits"})


class Asks(Watch):
    """Asks for a tensor and for a method."""

    type: Literal["asks"] = "asks"  # pyright: ignore[reportIncompatibleVariableOverride]
    name: str = "depth"
    """The tensor."""
    requires_methods = frozenset({"log_prob"})

    def tensors(self) -> tuple[str, ...]:
        return (self.name,)


class ReadingLoss(Square):
    """Reads features."""

    type: Literal["reading-loss"] = "reading-loss"  # pyright: ignore[reportIncompatibleVariableOverride]
    requires_outputs = frozenset({"features"})


class ByDepth(Path1):
    """Differentiates by a tensor."""

    type: Literal["by-depth"] = "by-depth"  # pyright: ignore[reportIncompatibleVariableOverride]

    def requires_grad_tensors(self) -> tuple[str, ...]:
        return ("depth",)


class UnbuildableLoss(Square):
    """Cannot be built."""

    type: Literal["unbuildable-loss"] = "unbuildable-loss"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> Any:
        raise BadInput("cannot be built", path=("layers",))


class UnfitLoss(Square):
    """Fits no game."""

    type: Literal["unfit-loss"] = "unfit-loss"  # pyright: ignore[reportIncompatibleVariableOverride]

    def check(self, game: Game) -> None:
        raise BadInput("does not fit", path=("layers",))


class Unbuildable(Watch):
    """Cannot be built."""

    type: Literal["unbuildable"] = "unbuildable"  # pyright: ignore[reportIncompatibleVariableOverride]
    build = UnbuildableLoss.build


class Unfit(Watch):
    """Fits no game."""

    type: Literal["unfit"] = "unfit"  # pyright: ignore[reportIncompatibleVariableOverride]
    check = UnfitLoss.check


@pytest.mark.parametrize(
    ("parts", "message", "path"),
    [
        (
            {"losses": (Square(turns=("other",)),)},
            "the game has no turn 'other'; it has: judging, making",
            ("losses", 0, "turns"),
        ),
        (
            {"losses": (Square(contests=("x",)),)},
            "the game has no contest 'x'; it has: judge",
            ("losses", 0, "contests"),
        ),
        (
            {"losses": (Unbounded(labels=(Pull(),)),)},
            "'unbounded' compares reals with fakes",
            ("losses", 0, "label_policies"),
        ),
        ({"losses": (ReadingLoss(),)}, "'reading-loss' reads features, which 'line-judge'", ("losses", 0)),
        ({"regularizers": (Reads(),)}, "'reads' reads class_logits, which 'line-judge'", ("regularizers", 0)),
        ({"regularizers": (Asks(),)}, "'asks' reads the tensor 'depth', which the game does not", ("regularizers", 0)),
        ({"regularizers": (Asks(name="real"),)}, "'asks' calls log_prob, which 'line-maker'", ("regularizers", 0)),
        (
            {"regularizers": (Watch(turns=("other",)),)},
            "the game has no turn 'other'; it has: judging, making",
            ("regularizers", 0, "turns"),
        ),
        ({"losses": (Square(), UnbuildableLoss())}, "cannot be built", ("losses", 1, "layers")),
        ({"losses": (Square(), UnfitLoss())}, "does not fit", ("losses", 1, "layers")),
        ({"regularizers": (Watch(), Unbuildable())}, "cannot be built", ("regularizers", 1, "layers")),
        ({"regularizers": (Watch(), Unfit())}, "does not fit", ("regularizers", 1, "layers")),
        ({"regularizers": (ByDepth(),)}, "'by-depth' reads the tensor 'depth', which the game", ("regularizers", 0)),
        ({"losses": (Square(turns=("judging",)),)}, "nothing to minimise in the turn 'making'", ("losses",)),
        ({"game": LineConfig(weights=())}, "'square' scores contests, but the game has none", ("losses", 0)),
        (
            {"game": LineConfig(weights=()), "losses": (), "regularizers": (OfMaker(), OfJudge(turns=("judging",)))},
            "'of-judge' reads a contest, but the game has none",
            ("regularizers", 1),
        ),
    ],
)
def test_what_the_game_cannot_give_is_refused(parts: dict[str, Any], message: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(BadInput) as problem:
        begin(**parts)
    assert problem.value.message.startswith(message)
    assert problem.value.path == path


@pytest.mark.parametrize(("term", "refused"), [(OfJudge(), True), (Between(), True), (Watch(), False)])
def test_a_judge_that_cannot_be_differentiated_twice_is_refused_where_a_term_does(
    term: RegularizerConfig, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JudgeConfig, "supports_double_backward", False)
    expected = pytest.raises(BadInput, match="differentiates twice") if refused else contextlib.nullcontext()
    with expected:
        begin(regularizers=(term,))


def test_a_term_that_joins_no_turn_is_refused() -> None:
    trainer = begin(regularizers=(Watch(), OfJudge()))
    trainer.game.turns = trainer.game.turns[1:]
    with pytest.raises(BadInput, match="'of-judge' joins no turn; the game has: making") as problem:
        Objective(trainer.run.experiment, trainer.game)
    assert problem.value.path == ("regularizers", 1)


class RichJudge(JudgeConfig):
    """Gives features."""

    provides = frozenset({"features"})


class RichMaker(MakerConfig):
    """Has a density."""

    provides = frozenset({"log_prob"})


class Several:
    """As much of a game as a check reads: two makers and two judges, the second of each without anything to offer."""

    names = ("real", "fake", "latent")
    discriminators = frozenset({"rich judge", "judge"})
    contests = tuple(Contest(name, real="real", fake="fake") for name in ("rich judge", "judge"))
    turns = (Turn("judging", ("rich judge", "judge")), Turn("rich", ("rich maker",)), Turn("making", ("maker",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        configs = {"rich judge": RichJudge(), "judge": JudgeConfig(), "rich maker": RichMaker(), "maker": MakerConfig()}
        return {name: PlayerSpec(config, (name,), TensorSpec((1,))) for name, config in configs.items()}

    def is_discriminator_turn(self, turn: Turn) -> bool:
        return turn.name == "judging"


def test_a_loss_asks_every_judge_that_it_scores_and_no_other() -> None:
    game: Any = Several()
    LossTerm("reading", ("losses", 0), ReadingLoss(contests=("rich judge",))).check(game)
    for contests in (None, ("judge",), ("rich judge", "judge")):
        with pytest.raises(BadInput, match="reads features, which 'line-judge' does not give"):
            LossTerm("reading", ("losses", 0), ReadingLoss(contests=contests)).check(game)


def test_a_regularizer_asks_the_makers_of_its_turns_and_no_other() -> None:
    game: Any = Several()
    for turns in (("rich",), ("judging", "rich")):
        RegularizerTerm("asks", ("regularizers", 0), Asks(name="real", turns=turns)).check(game)
    for turns in (None, ("making",), ("rich", "making")):
        with pytest.raises(BadInput, match=r"calls log_prob, which 'line-maker' \(maker\) does not have"):
            RegularizerTerm("asks", ("regularizers", 0), Asks(name="real", turns=turns)).check(game)
