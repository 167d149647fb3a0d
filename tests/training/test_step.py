"""Steps of a game on a line, where every weight and every logged number is worked out by hand."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Generator, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from line_game import (
    CPU,
    JUDGE_LR,
    MAKER_LR,
    PAIRS,
    Between,
    Calls,
    G,
    Given,
    LineConfig,
    OfJudge,
    OfMaker,
    OnlyFake,
    Path1,
    Square,
    Unbounded,
    W,
    Watch,
    Watching,
    batch,
    begin,
    judge_loss,
    judge_slope,
    live,
    maker_loss,
    maker_slope,
    mean,
    weights,
)
from ranks import pretend_ranks
from torch import Tensor, nn
from torch.nn.functional import dropout

from ganframe import BadInput
from ganframe.builtin.optimizers import SGD
from ganframe.builtin.schedules import Linear, Piecewise, Step
from ganframe.config.component_kinds import AugmentationConfig
from ganframe.config.schedules import Scheduled
from ganframe.config.terms import LossConfig, RegularizerConfig
from ganframe.distributed.shard import Shard
from ganframe.errors import NotFinite
from ganframe.game.game import Game
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.training.loop_callbacks import is_due
from ganframe.training.run_state import Run
from ganframe.training.scheduled_settings import ScheduledSettings
from ganframe.training.step import Trainer


def test_each_repeat_and_each_accumulated_part_has_a_batch_of_its_own() -> None:
    counters = Calls(lambda _run, _turn, rounds: [game_round.randomness.counters for game_round in rounds])
    trainer = begin(
        [batch(*pair) for pair in PAIRS], [counters], game=LineConfig(repeats=(2, 1)), train={"accumulate": 2}
    )
    w, g = W, G
    for step in range(2):
        own = PAIRS[4 * step : 4 * step + 4]
        expected: dict[str, float] = {}
        for parts in (own[:2], own[2:]):
            slope = mean([judge_slope(w, g, *pair) for pair in parts])
            expected["judging/square"] = mean([judge_loss(w, g, *pair) for pair in parts])
            expected["judging/gradient norm"] = abs(slope)
            w -= JUDGE_LR * slope
        slope = mean([maker_slope(w, g, latent) for _, latent in own[:2]])
        expected["making/square"] = mean([maker_loss(w, g, latent) for _, latent in own[:2]])
        expected["making/gradient norm"] = abs(slope)
        g -= MAKER_LR * slope
        scalars = trainer.step()
        assert scalars == pytest.approx(expected, rel=1e-5)
        assert counters.scalars == scalars
        assert weights(trainer) == pytest.approx((w, g), rel=1e-5)
    assert counters.calls == [
        *("judging", "judging", "making", "step 1, 8 images"),
        *("judging", "judging", "making", "step 2, 16 images"),
    ]
    assert counters.seen[3:] == [
        [("step", 1, "judging", 0, 0), ("step", 1, "judging", 0, 1)],
        [("step", 1, "judging", 1, 0), ("step", 1, "judging", 1, 1)],
        [("step", 1, "making", 0, 0), ("step", 1, "making", 0, 1)],
    ]


def test_every_player_of_a_turn_moves_by_its_own_slope() -> None:
    trainer = begin([batch(*PAIRS[0])], game=LineConfig(trains_both=True))
    real, latent = PAIRS[0]
    slopes = judge_slope(W, G, real, latent), mean([2 * W * W * G * z * z for z in latent])
    w, g = W - JUDGE_LR * slopes[0], G - JUDGE_LR * slopes[1]
    scalars = trainer.step()
    assert scalars["judging/gradient norm"] == pytest.approx(math.hypot(*slopes), rel=1e-5)
    assert scalars["making/gradient norm"] == pytest.approx(abs(maker_slope(w, g, latent)), rel=1e-5)
    assert weights(trainer) == pytest.approx((w, g - MAKER_LR * maker_slope(w, g, latent)), rel=1e-5)


def test_hooks_hear_of_a_turn_once_its_players_have_moved_and_see_its_logits() -> None:
    after = Calls(lambda run, _turn, rounds: (run.game.players["judge"].weight.item(), set(rounds[0].logits)))
    begin([batch(*PAIRS[0])], [after]).step()
    (moved, judged), (_, made) = after.seen
    assert moved == pytest.approx(W - JUDGE_LR * judge_slope(W, G, *PAIRS[0]), rel=1e-5)
    assert judged == {("judge", "real"), ("judge", "fake")}
    assert made == {("judge", "fake")}


def test_outputs_are_let_go_of_after_a_turn() -> None:
    def look(game_round: Round) -> object:
        return game_round.discriminator_output(game_round.contests[0], "fake")

    after = Calls(lambda _run, _turn, rounds: look(rounds[0]))
    trainer = begin([batch(*PAIRS[0])], [after], regularizers=(Watch(),))
    live(trainer).look = look
    trainer.step()
    assert [before is now for before, now in zip(live(trainer).seen, after.seen, strict=True)] == [False, False]


def test_a_rank_takes_its_share_of_each_batch_with_its_share_of_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_ranks(monkeypatch, 1, 2, lambda values: values)
    seen = Calls(lambda _run, _turn, rounds: (rounds[0].size, rounds[0].randomness.shard))
    trainer = begin([batch([0.5], [0.25])], [seen])
    trainer.step()
    assert seen.seen == [(1, Shard(1, 2))] * 2
    given = Given()
    trainer.run.images = 5
    next(Trainer(trainer.run, given)._batches, None)  # pyright: ignore[reportArgumentType, reportPrivateUsage]
    assert given.first == 3


def test_rounds_are_as_large_as_a_batch() -> None:
    sizes = Calls(lambda _run, _turn, rounds: [(game_round.size, game_round.device) for game_round in rounds])
    begin([batch(*PAIRS[0])], [sizes]).step()
    assert sizes.seen == [[(2, CPU)], [(2, CPU)]]


def test_a_shared_round_is_one_for_all_turns_over_every_batch() -> None:
    rounds = Calls(lambda _run, _turn, rounds: list(rounds))
    trainer = begin(
        [batch(*pair) for pair in PAIRS[:2]], [rounds], game=LineConfig(share_round=True), train={"accumulate": 2}
    )
    trainer.step()
    first, second = rounds.seen
    assert len(first) == len(second) == 2
    # Two views of the same tensors.
    assert all(one.made()["fake"] is two.made()["fake"] for one, two in zip(first, second, strict=True))
    assert [each.randomness.counters for each in rounds.seen[0]] == [("step", 0, "shared", 0), ("step", 0, "shared", 1)]
    assert trainer.game.made == 2
    w = W - JUDGE_LR * mean([judge_slope(W, G, *pair) for pair in PAIRS[:2]])
    g = G - MAKER_LR * mean([maker_slope(w, G, latent) for _, latent in PAIRS[:2]])
    assert weights(trainer) == pytest.approx((w, g), rel=1e-5)


def test_accuracies_and_the_logit_gap_are_means_over_the_parts() -> None:
    # With w = 2 and g = .5 the logits are twice the reals, and the latents.
    first, second = batch([0.5, 0.25], [0.25, 0.5]), batch([1.0, 1.0], [1.0, 0.0])
    trainer = begin([first, second], train={"accumulate": 2})
    trainer.run.step = 19
    scalars = trainer.step()
    found = {name: each for name, each in scalars.items() if name.split("/")[1] not in ("square", "gradient norm")}
    assert found == pytest.approx(
        {
            "judging/judge accuracy on real": (0.5 + 1) / 2,
            "judging/judge accuracy on fake": (0.5 + 0.5) / 2,
            "judging/judge logit gap": ((0.75 - 0.375) + (2 - 0.5)) / 2,
        }
    )


def test_most_fakes_called_fake_is_a_high_accuracy() -> None:
    trainer = begin([batch([1.0, 0.0], [-1.0, -2.0])])
    trainer.run.step = 39
    scalars = trainer.step()
    assert scalars["judging/judge accuracy on fake"] == 1
    assert scalars["judging/judge accuracy on real"] == 0.5


@pytest.mark.parametrize(
    ("step", "loss", "extra"),
    [
        (18, Square(), set[str]()),
        (20, Square(), set[str]()),
        (19, OnlyFake(), set[str]()),
        (19, Unbounded(), {"judging/judge logit gap"}),
    ],
)
def test_confidence_is_looked_at_in_each_20th_step_where_there_is_something_to_see(
    step: int, loss: LossConfig, extra: set[str]
) -> None:
    trainer = begin([batch(*PAIRS[0])], losses=(loss,))
    trainer.run.step = step
    usual = {f"{turn}/{name}" for turn in ("judging", "making") for name in (loss.type_name(), "gradient norm")}
    assert trainer.step().keys() - usual == extra


@pytest.mark.parametrize(
    ("losses", "extra"),
    [
        ((Square(contests=("second",)),), {"second accuracy on real", "second accuracy on fake", "second logit gap"}),
        (
            (Unbounded(contests=("judge",)), Square(contests=("second",))),
            {"judge logit gap", "second accuracy on real", "second accuracy on fake", "second logit gap"},
        ),
    ],
)
def test_each_contest_is_looked_at_by_its_own_loss(losses: tuple[LossConfig, ...], extra: set[str]) -> None:
    parts = {"losses": losses, "regularizers": (OfMaker(),)}
    trainer = begin([batch(*PAIRS[0])], game=LineConfig(weights=(1.0, 1.0)), **parts)
    trainer.run.step = 19
    found = {name.removeprefix("judging/") for name in trainer.step()}
    assert {name for name in found if name.startswith(("judge ", "second "))} == extra


def test_an_optimizer_follows_its_schedule_by_the_images_before_the_step() -> None:
    steps = Piecewise(steps=(Step(images=0, value=0.1), Step(images=2, value=0.3)))
    trainer = begin([batch(*pair) for pair in PAIRS[:3]], optimizers={"judging": SGD(lr=steps), "making": SGD(lr=0)})
    w = W
    for pair, lr in zip(PAIRS[:3], (0.1, 0.3, 0.3), strict=True):
        w -= lr * judge_slope(w, G, *pair)
        trainer.step()
        assert weights(trainer) == pytest.approx((w, G), rel=1e-5)


def test_an_optimizer_follows_its_schedule_over_all_images() -> None:
    rates = Calls(lambda run, turn, _rounds: run.optimizers[turn.name].param_groups[0]["lr"])
    ramp = SGD(lr=Linear(start=0.4, end=0))
    trainer = begin([batch(*PAIRS[0])] * 2, [rates], optimizers={"making": ramp}, train={"images": 8})
    trainer.step()
    trainer.step()
    assert rates.seen == pytest.approx([JUDGE_LR, 0.4, JUDGE_LR, 0.3])


def test_settings_that_follow_no_schedule_stay_as_a_hook_set_them() -> None:
    def stop(run: Run, turn: Turn, _rounds: object) -> None:
        run.optimizers[turn.name].param_groups[0]["lr"] = 0.0

    trainer = begin([batch(*PAIRS[0])] * 2, [Calls(stop)])
    trainer.step()
    after = weights(trainer)
    trainer.step()
    assert weights(trainer) == after


def test_a_scheduled_weight_is_that_of_the_images_before_the_step() -> None:
    trainer = begin(
        [batch(*pair) for pair in PAIRS[:2]],
        losses=(Square(weight=Linear(start=1, end=0)),),
        optimizers={"making": SGD(lr=0)},
        train={"images": 4},
    )
    w = W - JUDGE_LR * judge_slope(W, G, *PAIRS[0])
    trainer.step()
    assert weights(trainer)[0] == pytest.approx(w, rel=1e-5)
    w -= JUDGE_LR * 0.5 * judge_slope(w, G, *PAIRS[1])
    scalars = trainer.step()
    assert weights(trainer)[0] == pytest.approx(w, rel=1e-5)
    assert scalars["making/square"] == pytest.approx(maker_loss(w, G, PAIRS[1][1]), rel=1e-5)


class Shift(AugmentationConfig):
    """Multiplies and adds."""

    type: Literal["shift"] = "shift"
    factor: float = 1.0
    """Multiplied with."""
    amount: Scheduled = 0.0
    """Added."""

    def build(self) -> nn.Module:
        return Shifting(self.factor)


class Shifting(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.amount = factor, 0.0
        self.seeds = list[int]()

    def forward(self, sample: Tensor, generator: torch.Generator) -> Tensor:
        if self.factor < 0:
            raise BadInput("not this", path=("factor",))
        self.seeds.append(generator.initial_seed())
        return sample * self.factor + self.amount


def test_augmentations_come_in_order_with_draws_of_their_own_and_follow_schedules_by_the_images_before() -> None:
    ramp = Linear(start=1, end=0)
    trainer = begin(
        [batch(*PAIRS[0])] * 2,
        augmentations=(Shift(amount=ramp), Shift(factor=3)),
        optimizers={"judging": SGD(lr=0), "making": SGD(lr=0)},
        train={"images": 4},
    )
    real, latent = PAIRS[0]
    for amount in (1.0, 0.5):
        expected = mean([(W * 3 * (x + amount) - 1) ** 2 for x in real])
        expected += mean([(W * 3 * (G * z + amount)) ** 2 for z in latent])
        assert trainer.step()["judging/square"] == pytest.approx(expected, rel=1e-5)
    # A real and a fake in the judge's turn and a fake in the maker's, in each of two steps.
    seeds = [seed for each in trainer.run.assembly.augmentations for seed in each.seeds]  # pyright: ignore[reportGeneralTypeIssues]
    assert len(seeds) == len(set(seeds)) == 12


def test_input_that_an_augmentation_cannot_use_is_named_by_its_place() -> None:
    trainer = begin([batch(*PAIRS[0])], augmentations=(Shift(), Shift(factor=-1)))
    with pytest.raises(BadInput, match="not this") as problem:
        trainer.step()
    assert problem.value.path[-3:] == ("augmentations", 1, "factor")


def test_a_turn_without_a_term_that_is_due_is_left_out() -> None:
    calls = Calls()
    losses = (Square(turns=("judging",)), Square(turns=("making",), every=2))
    trainer = begin([batch(*PAIRS[0])] * 3, [calls], losses=losses)
    logged = [trainer.step().keys() for _ in range(3)]
    assert [each for each in calls.calls if "step" not in each] == ["judging", "making", "judging", "judging", "making"]
    assert ["making/gradient norm" in each for each in logged] == [True, False, True]


def test_a_lazy_term_counts_the_repeats_of_its_turn() -> None:
    trainer = begin(
        [batch(*PAIRS[0])] * 8, game=LineConfig(repeats=(2, 1)), regularizers=(OfJudge(every=3), OfMaker(every=2))
    )
    for index in (1, 2):
        live(trainer, index).look = lambda game_round: game_round.randomness.counters[1:4]
    for _ in range(4):
        trainer.step()
    assert live(trainer, 1).seen == [(0, "judging", 0), (1, "judging", 1), (3, "judging", 0)]
    assert live(trainer, 2).seen == [(0, "making", 0), (2, "making", 0)]


def free(game: Game) -> list[str]:
    return [name for name, each in game.players.items() if each.weight.requires_grad]


def test_only_who_moves_is_free_in_a_turn_and_no_gradient_is_left_after_it() -> None:
    def look(run: Run, *_: object) -> object:
        return free(run.game), [each.weight.grad for each in run.game.players.values()]

    after = Calls(look)
    trainer = begin([batch(*PAIRS[0])] * 2, [after], regularizers=(Watch(),))
    live(trainer).look = lambda game_round: free(game_round.game)
    trainer.step()
    trainer.step()
    assert live(trainer).seen == [["judge"], ["maker"]] * 2
    assert after.seen == [(["maker", "judge"], [None, None])] * 4


def test_an_average_takes_in_the_maker_once_a_step_after_all_turns() -> None:
    trainer = begin([batch(*pair) for pair in PAIRS[:4]], game=LineConfig(repeats=(1, 2)), decay=0.75)
    averages = trainer.run.averages
    assert averages is not None
    average = averages.players["maker"]
    trainer.step()
    first = weights(trainer)[1]
    assert average.weight.item() == pytest.approx(first)
    trainer.step()
    second = weights(trainer)[1]
    assert average.weight.item() == pytest.approx(0.75 * first + 0.25 * second)
    assert abs(first - second) > 0.01


def test_dropout_draws_other_masks_in_each_turn_and_step_and_the_same_in_a_resumed_run() -> None:
    def masks(first: int, steps: int, seed: int = 0) -> list[tuple[float, ...]]:
        trainer = begin([batch(*PAIRS[0])] * steps, regularizers=(Watch(),), seed=seed)
        trainer.run.step = first
        live(trainer).look = lambda _round: tuple(dropout(torch.ones(64)).tolist())
        with torch.random.fork_rng(devices=[]):
            for _ in range(steps):
                trainer.step()
        return live(trainer).seen

    whole = masks(0, 3)
    assert len(whole) == len(set(whole)) == 6
    assert masks(2, 1) == whole[4:]
    assert masks(0, 1, seed=1)[0] not in whole


def test_what_is_not_finite_is_named_with_the_step_and_the_data_to_blame() -> None:
    calls = Calls()
    clean = batch(*PAIRS[0])
    trainer = begin([clean, batch([0.5, torch.inf], [0.5, 1.0], spare=torch.tensor([torch.nan]))], [calls])
    trainer.run.step = 4
    trainer.step()
    with pytest.raises(NotFinite) as problem:
        trainer.step()
    assert str(problem.value) == (
        "step 6, turn 'judging': not finite: the term 'square'; the gradient of the player 'judge' "
        "(nor are the data: real, spare)"
    )
    assert (trainer.run.step, trainer.run.images) == (5, 2)
    assert calls.calls[-1] == "making"


def test_data_of_any_accumulated_batch_are_to_blame() -> None:
    spoilt = batch([0.5, torch.inf], [0.5, 1.0])
    trainer = begin([batch(*PAIRS[0]), spoilt], train={"accumulate": 2})
    with pytest.raises(NotFinite, match=r"\(nor are the data: real\)$"):
        trainer.step()


def test_a_weight_or_an_average_that_is_not_finite_ends_the_step() -> None:
    def spoil_weight(run: Run, turn: Turn, _rounds: object) -> None:
        if turn.name == "making":
            run.game.players["maker"].weight.data.fill_(torch.inf)

    with pytest.raises(NotFinite, match=r"step 1: not finite: the player 'maker' \(weight\)"):
        begin([batch(*PAIRS[0])], [Calls(spoil_weight)]).step()

    def spoil_average(run: Run, *_: object) -> None:
        assert run.averages is not None
        run.averages.players["maker"].weight.data.fill_(torch.inf)

    trainer = begin([batch(*PAIRS[0])] * 2, [Calls(spoil_average)], decay=0.5)
    trainer.step()  # the first takes the weight as it is
    with pytest.raises(NotFinite, match=r"step 2: not finite: the average of 'maker' \(weight\)"):
        trainer.step()


def test_a_spoilt_step_is_refused_before_hooks_see_it() -> None:
    def spoil(run: Run, turn: Turn, _rounds: object) -> None:
        if turn.name == "making":
            run.game.players["maker"].weight.data.fill_(torch.inf)

    calls = Calls(spoil)
    with pytest.raises(NotFinite):
        begin([batch(*PAIRS[0])], [calls]).step()
    assert calls.calls == ["judging", "making"]


def test_what_a_hook_reports_is_of_that_step_alone() -> None:
    def report(run: Run, turn: Turn, _rounds: object) -> None:
        if run.step == 0:
            run.report(f"mine/{turn.name}", torch.tensor(3.0 if turn.name == "judging" else 4.0))

    trainer = begin([batch(*PAIRS[0])] * 2, [Calls(report)])
    first, second = trainer.step(), trainer.step()
    assert {name: each for name, each in first.items() if name.startswith("mine")} == {
        "mine/judging": 3.0,
        "mine/making": 4.0,
    }
    assert not any(name.startswith("mine") for name in second)


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_laid_out_channels_last_where_that_is_asked_for(channels_last: bool) -> None:
    def look(_run: object, _turn: object, rounds: Sequence[Round]) -> bool:
        assert rounds[0]["real"].shape == (2, 1)
        return rounds[0]["picture"].is_contiguous(memory_format=torch.channels_last)

    given = batch(*PAIRS[0], picture=torch.zeros(2, 3, 4, 4))
    laid_out = Calls(look)
    begin([given], [laid_out], train={"channels_last": channels_last}).step()
    assert laid_out.seen == [channels_last] * 2


def test_a_run_goes_on_with_the_first_batch_that_it_has_not_seen() -> None:
    trainer = begin()
    for images, number in ((0, 0), (4, 2), (5, 3)):
        given = Given()
        trainer.run.images = images
        next(Trainer(trainer.run, given)._batches, None)  # pyright: ignore[reportArgumentType, reportPrivateUsage]
        assert given.first == number


def test_a_run_is_done_with_its_last_image() -> None:
    trainer = begin([batch(*PAIRS[0])] * 2, train={"images": 3})
    done = [trainer.done()]
    for _ in range(2):
        trainer.step()
        done.append(trainer.done())
    assert done == [False, False, True]


def test_to_close_a_trainer_closes_its_batches() -> None:
    given = Given(batch(*PAIRS[0]), batch(*PAIRS[1]))
    trainer = Trainer(begin().run, given)  # pyright: ignore[reportArgumentType]
    trainer.step()
    assert not given.closed
    trainer.close()
    assert given.closed


@pytest.mark.parametrize(
    "game", [LineConfig(), LineConfig(share_round=True), LineConfig(looks_ahead=True)], ids=["own", "shared", "ahead"]
)
def test_a_term_differentiates_by_a_tensor_that_another_turn_read_first(game: LineConfig) -> None:
    """The maker's objective is g * g, with the slope 2 g."""
    regularizers = (Watch(turns=("judging",)), Path1())
    trainer = begin([batch(*PAIRS[0])], game=game, losses=(Square(turns=("judging",)),), regularizers=regularizers)
    scalars = trainer.step()
    assert scalars["making/path"] == pytest.approx(G * G)
    assert weights(trainer)[1] == pytest.approx(G - MAKER_LR * 2 * G)


def test_a_game_that_looks_ahead_is_played() -> None:
    trainer = begin([batch(*PAIRS[0])], game=LineConfig(looks_ahead=True))
    trainer.step()
    assert len(live(trainer).targets) == 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_terms_are_taken_in_the_precision_of_the_run_and_hooks_are_not(precision: str) -> None:
    after = Calls(lambda *_: torch.is_autocast_enabled("cpu"))
    trainer = begin([batch(*PAIRS[0])], [after], regularizers=(Watch(),), train={"precision": precision})
    live(trainer).look = lambda _round: torch.is_autocast_enabled("cpu")
    trainer.step()
    assert live(trainer).seen == [precision == "bf16"] * 2
    assert after.seen == [False, False]


@pytest.mark.parametrize(
    ("term", "twice", "eager"),
    [
        (OfJudge(every=2), False, [1, 3]),
        (Between(every=2), False, [1, 3]),
        (Path1(every=2), False, [1, 3]),
        (Watch(), False, []),
        (Watch(), True, [1, 1, 2, 2, 3, 3]),
    ],
)
def test_turns_with_second_derivatives_run_uncompiled(
    term: RegularizerConfig, twice: bool, eager: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stances: list[Any] = []

    @contextlib.contextmanager
    def stance(name: str) -> Generator[None, None, None]:
        stances.append((name, trainer.run.step + 1))
        yield

    monkeypatch.setattr(torch.compiler, "set_stance", stance)
    trainer = begin([batch(*PAIRS[0])] * 3, regularizers=(term,), train={"compile": True})
    trainer.game.needs_double_backward = twice
    for _ in range(3):
        trainer.step()
    assert stances == [("force_eager", step) for step in eager]


def test_turns_with_second_derivatives_run_over_whole_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[list[str]] = []

    @contextlib.contextmanager
    def unsharded(players: Any) -> Generator[None, None, None]:
        whole.append([type(player).__name__ for player in players])
        yield

    monkeypatch.setitem(sys.modules, "ganframe.distributed.fsdp", SimpleNamespace(unsharded=unsharded))
    trainer = begin([batch(*PAIRS[0])] * 2, regularizers=(OfJudge(every=2),))
    monkeypatch.setattr(type(trainer.run.assembly), "sharded", True)
    trainer.step()
    assert whole == [["Maker", "Judge"]]
    trainer.step()
    assert len(whole) == 1


def test_the_means_over_ranks_are_what_moves_the_players_and_what_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def as_if_averaged(parameters: Any) -> None:
        calls.append("gradients")
        for each in parameters:
            each.grad.mul_(3)

    monkeypatch.setattr("ganframe.training.step.all_reduce_gradients", as_if_averaged)
    monkeypatch.setattr(
        "ganframe.training.step.all_reduce_buffers", lambda players: calls.append(f"{len(players)} players")
    )
    trainer = begin([batch(*PAIRS[0])])
    scalars = trainer.step()
    slope = 3 * judge_slope(W, G, *PAIRS[0])
    assert scalars["judging/gradient norm"] == pytest.approx(abs(slope), rel=1e-5)
    assert weights(trainer)[0] == pytest.approx(W - JUDGE_LR * slope, rel=1e-5)
    assert calls == ["gradients", "gradients", "2 players"]


def test_averages_take_in_what_the_ranks_agree_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = begin([batch(*PAIRS[0])], decay=0.5)
    maker = trainer.game.players["maker"]
    monkeypatch.setattr("ganframe.training.step.all_reduce_buffers", lambda _players: maker.weight.data.fill_(7.0))
    trainer.step()
    assert trainer.run.averages is not None
    assert trainer.run.averages.players["maker"].weight.item() == 7  # the first is taken as it is


def test_something_is_due_where_a_multiple_was_reached() -> None:
    assert [is_due(10, before, after) for before, after in ((0, 9), (0, 10), (9, 10), (10, 19), (10, 20), (5, 31))] == [
        *(False, True, True, False, True, True)
    ]


def test_a_scheduled_setting_is_set_and_the_weight_of_a_term_is_not() -> None:
    live = Shifting(1.0)
    term = Watching()
    schedules = ScheduledSettings(
        [
            (Shift(amount=Linear(start=0, end=8)), live),
            (Watch(weight=Linear(start=1, end=0)), term),
            (Shift(factor=2.0), other := Shifting(2.0)),
        ]
    )
    assert live.amount == 0
    schedules.apply(25, 100)
    assert (live.amount, live.factor) == (2, 1)
    assert (other.amount, other.factor) == (0, 2)
    assert not hasattr(term, "weight")


class Tuned(Watch):
    """With a setting beside its weight."""

    type: Literal["tuned"] = "tuned"  # pyright: ignore[reportIncompatibleVariableOverride]
    amount: Scheduled = 1.0
    """Follows a schedule of its own."""


def test_a_term_follows_the_schedules_beside_that_of_its_weight() -> None:
    term: Any = Watching()
    term.amount = 0.0
    config = Tuned(weight=Linear(start=1, end=0), amount=Linear(start=0, end=8))
    ScheduledSettings([(config, term)]).apply(25, 100)
    assert term.amount == 2
    assert not hasattr(term, "weight")


def test_an_average_that_the_step_spoils_is_found_in_that_step(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = begin([batch(*PAIRS[0])], decay=0.5)
    averages = trainer.run.averages
    assert averages is not None
    average = averages.players["maker"].weight
    monkeypatch.setattr(averages, "update", lambda: average.data.fill_(torch.inf))
    with pytest.raises(NotFinite, match=r"step 1: not finite: the average of 'maker' \(weight\)"):
        trainer.step()


def test_channels_last_is_the_memory_order_of_images_alone() -> None:
    video, image = torch.rand(2, 3, 2, 4, 4), torch.rand(2, 3, 4, 4)
    trainer = begin(train={"channels_last": True})
    prepared = trainer._prepare({"video": video, "image": image})  # pyright: ignore[reportPrivateUsage]
    assert prepared["video"] is video
    assert prepared["image"].is_contiguous(memory_format=torch.channels_last)
