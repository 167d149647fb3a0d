"""When terms and turns take part, terms with parameters, several heads: steps on a line, worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from line_game import (
    JUDGE_LR,
    MAKER_LR,
    PAIRS,
    G,
    JudgeConfig,
    LineConfig,
    OfJudge,
    Square,
    W,
    Watch,
    batch,
    begin,
    judge_loss,
    judge_slope,
    maker_loss,
    maker_slope,
    plain_step,
)
from torch import Tensor, nn

from ganframe.builtin.schedules import Piecewise
from ganframe.builtin.turn_conditions import DiscriminatorAccuracy, EveryKthStep, Probability
from ganframe.config.terms import RegularizerConfig
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.training.step import Trainer

Pair = tuple[list[float], list[float]]


def batches(count: int) -> list[dict[str, Tensor]]:
    return [batch(*pair) for pair in PAIRS[:count]]


def weights(trainer: Trainer) -> tuple[float, float]:
    players = trainer.game.players
    judge, maker = (dict(players[name].named_parameters())["weight"].item() for name in ("judge", "maker"))
    return judge, maker


def walk(trainer: Trainer, count: int) -> list[tuple[float, float]]:
    """The weights after each of some steps."""
    found: list[tuple[float, float]] = []
    for _ in range(count):
        trainer.step()
        found.append(weights(trainer))
    return found


def assert_walk(found: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert len(found) == len(expected)
    for place, by_hand in zip(found, expected, strict=True):
        assert place == pytest.approx(by_hand, rel=1e-5)


# Terms that begin and end.


def test_a_discriminator_trains_before_the_generator_hears_it() -> None:
    losses = (Square(turns=("judging",)), Square(turns=("making",), from_images=4))
    found = walk(begin(batches(4), losses=losses), 4)
    w, g, expected = W, G, list[tuple[float, float]]()
    for step, pair in enumerate(PAIRS[:4]):
        w -= JUDGE_LR * judge_slope(w, g, *pair)
        if step >= 2:  # four images were seen
            g -= MAKER_LR * maker_slope(w, g, pair[1])
        expected.append((w, g))
    assert_walk(found, expected)


def test_a_term_ends_with_the_step_that_reaches_its_last_image() -> None:
    losses = (Square(turns=("judging",)), Square(turns=("making",), until_images=3))
    found = walk(begin(batches(4), losses=losses), 4)
    w, g, expected = W, G, list[tuple[float, float]]()
    for step, pair in enumerate(PAIRS[:4]):
        w -= JUDGE_LR * judge_slope(w, g, *pair)
        if step < 2:  # before the steps, 0 and 2 images were seen; then 4
            g -= MAKER_LR * maker_slope(w, g, pair[1])
        expected.append((w, g))
    assert_walk(found, expected)


def test_a_term_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="before it begins"):
        Square(from_images=10, until_images=10)


def test_a_term_whose_weight_is_0_is_not_computed() -> None:
    schedule = Piecewise.model_validate(
        {
            "steps": [
                {"after_images": 0, "value": 0.0},
                {"after_images": 4, "value": 1.0},
                {"after_images": 6, "value": 0},
            ]
        }
    )
    trainer = begin(batches(4), regularizers=(Watch(weight=schedule), OfJudge(weight=0.0)))
    watching = [term.live for term in trainer.objective.terms if term.name in ("watch", "of-judge")]
    seen: list[int] = []
    for each in watching:
        each.look = lambda game_round: seen.append(game_round.progress.images)
    walk(trainer, 4)
    assert seen == [4, 4]  # in both turns of the third step


# Turns that are taken under a condition.


def test_a_turn_is_taken_each_kth_step() -> None:
    trainer = begin(batches(5), turn_conditions={"making": EveryKthStep(steps=2)})
    found = walk(trainer, 5)
    w, g, expected = W, G, list[tuple[float, float]]()
    for step, pair in enumerate(PAIRS[:5]):
        w -= JUDGE_LR * judge_slope(w, g, *pair)
        if step % 2 == 0:
            g -= MAKER_LR * maker_slope(w, g, pair[1])
        expected.append((w, g))
    assert_walk(found, expected)
    assert trainer.run.turn_counts == {"judging": 5, "making": 3}


def test_a_lazy_term_counts_the_times_its_turn_was_taken() -> None:
    trainer = begin(
        batches(8), turn_conditions={"making": EveryKthStep(steps=2)}, regularizers=(Watch(turns=("making",), every=2),)
    )
    watching = trainer.objective.terms[-1].live
    seen: list[int] = []
    watching.look = lambda game_round: seen.append(game_round.progress.images)
    walk(trainer, 8)
    assert seen == [0, 8]  # of the steps 0, 2, 4, 6, in which the turn is taken, the first and the third


@pytest.mark.parametrize(("p", "taken"), [(0.0, 0), (1.0, 6)])
def test_a_turn_with_a_probability_of_0_or_1(p: float, taken: int) -> None:
    trainer = begin(batches(6), turn_conditions={"making": Probability(p=p)})
    walk(trainer, 6)
    assert trainer.run.turn_counts.get("making", 0) == taken


def test_a_turn_with_a_probability_follows_the_seed_and_a_schedule() -> None:
    def counts(seed: int, p: Any) -> list[int]:
        trainer = begin(batches(8), turn_conditions={"making": Probability(p=p)}, seed=seed)
        taken: list[int] = []
        for _ in range(8):
            trainer.step()
            taken.append(trainer.run.turn_counts.get("making", 0))
        return taken

    assert counts(0, 0.5) == counts(0, 0.5)
    assert len({tuple(counts(seed, 0.5)) for seed in range(6)}) > 1
    schedule = Piecewise.model_validate({"steps": [{"after_images": 0, "value": 0}, {"after_images": 8, "value": 1}]})
    assert counts(0, schedule) == [0, 0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("at_least", "at_most", "taken"),
    [(0.0, 1.0, True), (0.76, 1.0, False), (0.75, 1.0, True), (0.0, 0.75, True), (0.0, 0.74, False)],
)
def test_a_turn_depends_on_the_accuracy_of_the_discriminator(at_least: float, at_most: float, taken: bool) -> None:
    # The judge says 2 x: reals 0.5 and 1.0 are above 0; of the fakes g z = 0.125 and -0.5 one is below.
    condition = DiscriminatorAccuracy(contest="judge", at_least=at_least, at_most=at_most)
    trainer = begin([batch([0.5, 1.0], [0.25, -1.0])], turn_conditions={"judging": condition})
    trainer.step()
    assert trainer.run.turn_counts.get("judging", 0) == taken


def test_reading_the_accuracy_changes_nothing_else() -> None:
    always = DiscriminatorAccuracy(contest="judge")
    plain, read = begin(batches(4)), begin(batches(4), turn_conditions={"judging": always, "making": always})
    assert walk(plain, 4) == walk(read, 4)


def test_the_accuracy_is_that_of_all_accumulated_batches() -> None:
    # In the first batch everything is right, in the second nothing.
    pair = [batch([0.5, 1.0], [-0.25, -1.0]), batch([-0.5, -1.0], [0.25, 1.0])]
    for at_most, taken in ((0.49, 0), (0.5, 1)):
        condition = DiscriminatorAccuracy(contest="judge", at_most=at_most)
        trainer = begin(pair, turn_conditions={"judging": condition}, train={"gradient_accumulation_steps": 2})
        trainer.step()
        assert trainer.run.turn_counts.get("judging", 0) == taken


def test_no_round_is_opened_to_take_a_turn_without_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_turn = Trainer._open_turn

    def counted(trainer: Trainer, turn: Turn, *rest: Any) -> list[Round]:
        opened.append(turn.name)
        return open_turn(trainer, turn, *rest)

    monkeypatch.setattr(Trainer, "_open_turn", counted)
    begin(batches(1), turn_conditions={"making": EveryKthStep(steps=1)}).step()
    assert opened == ["judging", "making", "making"]


@pytest.mark.parametrize(
    ("conditions", "path"),
    [
        ({"nothing": EveryKthStep()}, ("turn_conditions", "nothing")),
        ({"judging": DiscriminatorAccuracy(contest="nothing")}, ("turn_conditions", "judging", "contest")),
    ],
)
def test_a_condition_that_fits_no_turn_is_refused(conditions: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="nothing") as problem:
        begin(turn_conditions=conditions)
    assert problem.value.path == path


# Terms with parameters.


class LogVariance(RegularizerConfig):
    """A squared distance with a learned variance: exp(-s) (g - 1)^2 + s."""

    type: Literal["log-variance"] = "log-variance"

    def build(self) -> Any:
        return LogVarianceTerm()


class LogVarianceTerm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.tensor(0.5))
        self.frozen = nn.Parameter(torch.tensor(7.0), requires_grad=False)

    def forward(self, game_round: Round) -> Tensor:
        distance = (game_round.game.players["maker"].weight - 1).square()  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue]
        return (-self.s).exp() * distance + self.s


def test_the_parameters_of_a_term_train_in_its_turns() -> None:
    trainer = begin(batches(3), losses=(Square(turns=("judging",)),), regularizers=(LogVariance(),))
    term = trainer.objective.terms[-1].live
    g, s = G, 0.5
    for _ in range(3):
        scalars = trainer.step()
        slope_g = 2 * (g - 1) * float(torch.tensor(-s).exp())
        slope_s = 1 - float(torch.tensor(-s).exp()) * (g - 1) ** 2
        assert scalars["making/gradient norm"] == pytest.approx((slope_g**2 + slope_s**2) ** 0.5, rel=1e-5)
        g, s = g - MAKER_LR * slope_g, s - MAKER_LR * slope_s
        assert term.s.item() == pytest.approx(s, rel=1e-5)
        assert weights(trainer)[1] == pytest.approx(g, rel=1e-5)
    assert float(term.frozen) == 7
    assert term.s.grad is None


class Noisy(LogVariance):
    """Begins with a random parameter."""

    type: Literal["noisy"] = "noisy"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> Any:
        term = LogVarianceTerm()
        nn.init.normal_(term.s)
        return term


def test_parameters_of_terms_are_initialised_by_the_seed_and_apart() -> None:
    def initial(seed: int) -> list[float]:
        torch.manual_seed(len(initials))
        trainer = begin(regularizers=(Noisy(), Noisy()), seed=seed)
        initials.append([term.live.s.item() for term in trainer.objective.terms[1:]])
        return initials[-1]

    initials: list[list[float]] = []
    assert initial(0) == initial(0) != initial(1)
    assert initials[0][0] != initials[0][1]


# Several heads.


class TwoHeads(nn.Module):
    head_names = ("near", "far")

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(W))

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        near = DiscriminatorOutput((self.weight * sample).flatten(), features=(sample,))
        return DiscriminatorOutput.of_heads([near, DiscriminatorOutput(3 * self.weight * sample, features=(-sample,))])


class TwoHeadsConfig(JudgeConfig):
    """Says a multiple of its sample, and three times that, as a map of patches."""

    type: Literal["two-heads"] = "two-heads"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, **given: Any) -> nn.Module:
        return TwoHeads()


def with_two_heads(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> Trainer:
    monkeypatch.setattr("line_game.JudgeConfig", TwoHeadsConfig)
    return begin(batches(3), **parts)


def test_a_loss_is_summed_over_the_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = with_two_heads(monkeypatch)
    w, g = W, G
    for real, latent in PAIRS[:3]:
        scalars = trainer.step()
        assert scalars["judging/square"] == pytest.approx(
            judge_loss(w, g, real, latent) + judge_loss(3 * w, g, real, latent), rel=1e-5
        )
        w -= JUDGE_LR * (judge_slope(w, g, real, latent) + 3 * judge_slope(3 * w, g, real, latent))
        assert scalars["making/square"] == pytest.approx(
            maker_loss(w, g, latent) + maker_loss(3 * w, g, latent), rel=1e-5
        )
        g -= MAKER_LR * (maker_slope(w, g, latent) + maker_slope(3 * w, g, latent))
    assert weights(trainer) == pytest.approx((w, g), rel=1e-5)


def test_the_whole_output_has_the_logits_and_features_of_all_heads() -> None:
    output = TwoHeads()(torch.tensor([[1.0], [2.0]]))
    assert output.logits.tolist() == [[2, 6], [4, 12]]
    assert [feature.flatten().tolist() for feature in output.features] == [[1, 2], [-1, -2]]


def test_the_real_side_is_not_computed_for_the_heads_of_a_loss_that_does_not_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = with_two_heads(monkeypatch)
    calls: list[float] = []
    trainer.game.players["judge"].register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0][0].item()))
    trainer.step()
    real, _ = PAIRS[0]
    assert len(calls) == 3  # both sides in the judge's turn, the fake in the maker's
    assert calls.count(pytest.approx(real[0])) == 1


def test_accuracies_are_those_of_each_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.training.step.ACCURACY_EVERY_STEPS", 1)
    scalars = with_two_heads(monkeypatch).step()
    # Of the second head's logits 3 and 6, and 0.75 and 3: above 0.5, the loss's threshold.
    assert scalars["judging/judge near accuracy on real"] == 1
    assert scalars["judging/judge near accuracy on fake"] == 0.5  # 0.25 and 1
    assert scalars["judging/judge far accuracy on fake"] == 0
    assert scalars["judging/judge far logit gap"] == pytest.approx(4.5 - 1.875)


@pytest.mark.parametrize(
    ("names", "message"), [((), "returned 2 heads, and its `head_names` has 0"), (("a", "b", "c"), "has 3")]
)
def test_other_heads_than_are_named_are_refused(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(TwoHeads, "head_names", names)
    with pytest.raises(BadInput, match=message):
        with_two_heads(monkeypatch).step()


# Terms and augmentations that are limited to some contests.


class TermOfContests(RegularizerConfig):
    """The number of the contests that it reads."""

    type: Literal["contests"] = "contests"
    side = "both"

    def build(self) -> Any:
        class Count:
            def forward(self, game_round: Round) -> Tensor:
                seen.append([contest.name for contest in game_round.contests])
                return game_round.game.players["maker"].weight * 0  # pyright: ignore[reportOperatorIssue, reportReturnType]

        return Count()


seen: list[list[str]] = []


def test_a_regularizer_reads_the_contests_that_it_is_limited_to() -> None:
    seen.clear()
    game = LineConfig(weights=(0.5, 1.0))
    trainer = begin(batches(1), game=game, regularizers=(TermOfContests(contests=("second",)), TermOfContests()))
    trainer.step()
    assert seen == [["second"], ["judge", "second"]] * 2


def test_a_contest_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInput, match="no contest 'nothing'") as problem:
        begin(regularizers=(TermOfContests(contests=("nothing",)),))
    assert problem.value.path == ("regularizers", 0, "contests")


def test_the_plain_step_is_as_it_was() -> None:
    found = walk(begin(batches(2)), 2)
    first = plain_step(W, G, PAIRS[0])
    assert_walk(found, [first, plain_step(*first, PAIRS[1])])


def test_a_round_knows_how_far_the_run_is() -> None:
    trainer = begin(batches(3), regularizers=(Watch(),))
    progress: list[tuple[int, int, int]] = []
    trainer.objective.terms[-1].live.look = lambda game_round: progress.append(
        (game_round.progress.turn_count, game_round.progress.images, game_round.progress.total)
    )
    walk(trainer, 3)
    assert progress == [(0, 0, 100), (0, 0, 100), (1, 2, 100), (1, 2, 100), (2, 4, 100), (2, 4, 100)]
    assert isinstance(trainer.game, Game)
