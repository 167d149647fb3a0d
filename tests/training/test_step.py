"""Steps of a game on a line, where every weight and every logged number is worked out by hand.

The maker gives `g * latent`, the judge says `w * sample`; the loss is least-squares towards 1 and 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ganframe import BadInput, Experiment, hookimpl
from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD
from ganframe.builtin.schedules import Linear, Piecewise, Step
from ganframe.config.experiment import Train
from ganframe.config.kinds import AugmentationConfig, DatasetConfig, GameConfig
from ganframe.config.networks import DiscriminatorConfig, GeneratorConfig
from ganframe.config.schedules import Scheduled
from ganframe.config.specs import DataSpec, TensorSpec
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig
from ganframe.distributed.shard import Shard
from ganframe.errors import NotFinite
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game, tensor
from ganframe.game.objective import Objective
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.plugins.discovery import new_manager
from ganframe.randomness import Randomness
from ganframe.runs.folder import RunFolder
from ganframe.training.assembly import assemble
from ganframe.training.ema import AveragedPlayers
from ganframe.training.run import Run
from ganframe.training.scheduled_settings import ScheduledSettings
from ganframe.training.trainer import Trainer, is_due

CPU = torch.device("cpu")
W, G = 2.0, 0.5
JUDGE_LR, MAKER_LR = 0.1, 0.05


class Maker(nn.Module):
    latent_shape = (1,)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(G))

    def forward(self, source: Tensor) -> Tensor:
        return self.weight * source


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(W))

    def forward(self, sample: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput((self.weight * sample).flatten())


class MakerConfig(GeneratorConfig):
    """Gives a multiple of its latent."""

    type: Literal["line-maker"] = "line-maker"

    def build(self, **given: Any) -> nn.Module:
        return Maker()


class JudgeConfig(DiscriminatorConfig):
    """Says a multiple of its sample."""

    type: Literal["line-judge"] = "line-judge"

    def build(self, **given: Any) -> nn.Module:
        return Judge()


class LineConfig(GameConfig):
    """The game on a line."""

    type: Literal["line"] = "line"
    repeats: tuple[int, int] = (1, 1)
    """Of the judge's and the maker's turn."""
    weights: tuple[float, ...] = (1.0,)
    """Of the contests: of `fake`, and of `latent`."""
    looks_ahead: bool = False
    """Take the judge's objective before one's own."""

    def build(self, data: DataSpec) -> Game:
        return Line(self, data)


class Line(Game):
    inputs = ("real", "latent")
    output = "fake"
    pictures = ()

    def __init__(self, config: LineConfig, data: DataSpec) -> None:
        self.config = config
        self.made = 0
        self.contests = tuple(
            Contest("judge", real="real", fake=fake, weight=weight, name=name)
            for fake, weight, name in zip(("fake", "latent"), config.weights, ("judge", "second"), strict=False)
        )
        judging, making = config.repeats
        self.turns = (Turn("judging", ("judge",), judging), Turn("making", ("maker",), making))
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        point = TensorSpec((1,))
        return {"maker": PlayerSpec(MakerConfig(), ("maker",), point), "judge": PlayerSpec(JudgeConfig(), ("judge",), point)}

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        self.made += 1
        return self.maker(game_round["latent"])

    def play(self, game_round: Round, objective: Callable[..., Any]) -> Any:
        if self.config.looks_ahead:
            objective(game_round, self.turns[0])
        return objective(game_round)


class Columns(DatasetConfig):
    """A number and a latent."""

    type: Literal["columns"] = "columns"

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1,)), "latent": TensorSpec((1,))}


class Square(LossConfig):
    """Least squares."""

    type: Literal["square"] = "square"
    decision_threshold = 0.5

    def build(self) -> Any:
        return SquareLoss()


class SquareLoss:
    def __init__(self) -> None:
        self.targets = list[tuple[list[float], list[float]] | None]()

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        told = None if real.target is None or fake.target is None else (real.target.tolist(), fake.target.tolist())
        self.targets.append(told)
        return (real.logits - 1).square().mean() + fake.logits.square().mean()

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        self.targets.append(None if fake.target is None else ([], fake.target.tolist()))
        return (fake.logits - 1).square().mean()


class Unbounded(Square):
    """Has no boundary."""

    type: Literal["unbounded"] = "unbounded"  # pyright: ignore[reportIncompatibleVariableOverride]
    decision_threshold = None
    takes_targets = False


class OnlyFake(Square):
    """Looks at fakes only."""

    type: Literal["only-fake"] = "only-fake"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self) -> Any:
        class Loss:
            def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
                return fake.logits.mean()

            generator = discriminator

        return Loss()


class Watch(RegularizerConfig):
    """Gives the maker's weight, and calls whoever watches."""

    type: Literal["watch"] = "watch"
    side = "both"

    def build(self) -> Any:
        return Watching()


class Watching:
    def __init__(self) -> None:
        self.look: Callable[[Round], object] = lambda game_round: None
        self.seen = list[Any]()

    def forward(self, game_round: Round) -> Tensor:
        self.seen.append(self.look(game_round))
        return game_round.game.maker.weight * 1


class OfMaker(Watch):
    """Of makers."""

    type: Literal["of-maker"] = "of-maker"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "generator"


class OfJudge(Watch):
    """Of judges, differentiating by fakes."""

    type: Literal["of-judge"] = "of-judge"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "discriminator"
    grad_wrt_sides = frozenset({"fake"})


class Between(Watch):
    """Differentiates by samples of its own."""

    type: Literal["between"] = "between"  # pyright: ignore[reportIncompatibleVariableOverride]
    side = "discriminator"
    needs_double_backward = True


class Path1(RegularizerConfig):
    """The square of the slope of a fake by its latent, which is g * g."""

    type: Literal["path"] = "path"

    def requires_grad_tensors(self) -> tuple[str, ...]:
        return ("latent",)

    def build(self) -> Any:
        class Slope:
            def forward(self, game_round: Round) -> Tensor:
                (slope,) = torch.autograd.grad(game_round["fake"].sum(), game_round["latent"], create_graph=True)
                return slope.square().mean()

        return Slope()


class Given:
    """Batches that are given."""

    def __init__(self, *batches: dict[str, Tensor]) -> None:
        self.batches, self.first, self.closed = batches, -1, False

    def starting_at(self, number: int) -> Generator[dict[str, Tensor], None, None]:
        self.first = number
        try:
            yield from self.batches
        finally:
            self.closed = True


def batch(real: Sequence[float], latent: Sequence[float], **more: Tensor) -> dict[str, Tensor]:
    return {"real": torch.tensor(real)[:, None], "latent": torch.tensor(latent)[:, None], **more}


PAIRS = [
    ([0.5, 1.0], [0.25, 1.0]),
    ([1.5, -0.5], [0.5, 0.75]),
    ([0.25, 0.75], [-1.0, 0.5]),
    ([-1.0, 0.25], [1.5, 0.25]),
    ([1.25, 0.5], [0.75, -0.5]),
    ([0.75, 1.75], [-0.25, 1.25]),
    ([-0.75, 1.0], [1.0, -0.75]),
    ([0.25, -0.25], [0.5, 1.75]),
]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def judge_loss(w: float, g: float, real: Sequence[float], latent: Sequence[float]) -> float:
    return mean([(w * x - 1) ** 2 for x in real]) + mean([(w * g * z) ** 2 for z in latent])


def judge_slope(w: float, g: float, real: Sequence[float], latent: Sequence[float]) -> float:
    return mean([2 * (w * x - 1) * x for x in real]) + mean([2 * w * (g * z) ** 2 for z in latent])


def maker_loss(w: float, g: float, latent: Sequence[float]) -> float:
    return mean([(w * g * z - 1) ** 2 for z in latent])


def maker_slope(w: float, g: float, latent: Sequence[float]) -> float:
    return mean([2 * (w * g * z - 1) * w * z for z in latent])


def plain_step(w: float, g: float, pair: tuple[list[float], list[float]]) -> tuple[float, float]:
    """One step of both over one batch."""
    w -= JUDGE_LR * judge_slope(w, g, *pair)
    return w, g - MAKER_LR * maker_slope(w, g, pair[1])


def begin(
    batches: Sequence[dict[str, Tensor]] = (), hooks: Sequence[object] = (), decay: float | None = None, **parts: Any
) -> Trainer:
    """A trainer of the game on a line, over batches of two."""
    train = {"images": 100, "batch_size": 2, "device": "cpu", **parts.pop("train", {})}
    optimizers = {"judging": SGD(lr=JUDGE_LR), "making": SGD(lr=MAKER_LR)} | parts.pop("optimizers", {})
    # Whatever is installed would take longer to load than all these tests take.
    usual: dict[str, Any] = {"game": LineConfig(), "losses": (Square(),), "data": Columns(), "loggers": (Jsonl(),)}
    experiment = Experiment(**(usual | parts), optimizers=optimizers, train=Train(**train))
    assembly = assemble(experiment)
    averages = None if decay is None else AveragedPlayers({"maker": assembly.game.players["maker"]}, decay)
    listeners = new_manager()
    for each in hooks:
        listeners.register(each)
    run = Run(experiment, RunFolder(Path("nowhere")), assembly, assembly.optimizers(), averages, listeners)
    return Trainer(run, Given(*batches))  # pyright: ignore[reportArgumentType]


def weights(trainer: Trainer) -> tuple[float, float]:
    players = trainer.game.players
    return players["judge"].weight.item(), players["maker"].weight.item()


def live(trainer: Trainer, index: int = -1) -> Any:
    """What was built of a term."""
    return trainer.objective.terms[index].live


class Calls:
    """The hooks of turns and steps, in order, and what a look at the run then gives."""

    def __init__(self, look: Callable[[Run, Turn, Sequence[Round]], object] = lambda *_: None) -> None:
        self.look = look
        self.calls, self.seen = list[str](), list[Any]()
        self.scalars: Mapping[str, float] = {}

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        self.calls.append(turn.name)
        self.seen.append(self.look(run, turn, rounds))

    @hookimpl
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        assert run.step == step
        self.calls.append(f"step {step}, {run.images} images")
        self.scalars = scalars


# The trainer


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
    assert rounds.seen[0] == rounds.seen[1]
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
    seeds = [seed for each in trainer.augmentations for seed in each.seeds]  # pyright: ignore[reportGeneralTypeIssues]
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
    trainer = begin([batch(*PAIRS[0])], game=game, losses=(Square(turns=("judging",)),), regularizers=(Path1(),))
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


def test_the_means_over_ranks_are_what_moves_the_players_and_what_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def as_if_averaged(parameters: Any) -> None:
        calls.append("gradients")
        for each in parameters:
            each.grad.mul_(3)

    monkeypatch.setattr("ganframe.distributed.collectives.average_gradients", as_if_averaged)
    monkeypatch.setattr("ganframe.distributed.collectives.average_buffers", lambda players: calls.append(f"{len(players)} players"))
    trainer = begin([batch(*PAIRS[0])])
    scalars = trainer.step()
    slope = 3 * judge_slope(W, G, *PAIRS[0])
    assert scalars["judging/gradient norm"] == pytest.approx(abs(slope), rel=1e-5)
    assert weights(trainer)[0] == pytest.approx(W - JUDGE_LR * slope, rel=1e-5)
    assert calls == ["gradients", "gradients", "2 players"]


def test_something_is_due_where_a_multiple_was_reached() -> None:
    assert [is_due(10, before, after) for before, after in ((0, 9), (0, 10), (9, 10), (10, 19), (10, 20), (5, 31))] == [
        *(False, True, True, False, True, True)
    ]


# The objective


def objective_of(game: LineConfig | None = None, **terms: Any) -> tuple[Objective, Game]:
    trainer = begin(**({} if game is None else {"game": game}), **terms)
    return trainer.objective, trainer.game


def open_round(game: Game, randomness: Randomness | None = None) -> Round:
    game_round = Round(game, batch(*PAIRS[0]), size=2, device=CPU, randomness=randomness or Randomness(0))
    game_round.enter(game.turns[0])
    return game_round


REAL, LATENT = PAIRS[0]
FIRST = judge_loss(W, G, REAL, LATENT)
SECOND = judge_loss(W, 1.0, REAL, LATENT)  # its fake is the latent itself


def test_contests_are_summed_with_their_weights() -> None:
    objective, game = objective_of(LineConfig(weights=(0.5, 1.0)))
    found = objective(open_round(game), game.turns[0], TrainingProgress(0, 0, 100))
    assert found.total.item() == pytest.approx(0.5 * FIRST + SECOND)
    assert found.terms["square"].item() == pytest.approx(0.5 * FIRST + SECOND)
    making = maker_loss(W, G, LATENT) * 0.5 + maker_loss(W, 1.0, LATENT)
    game_round = open_round(game)
    game_round.enter(game.turns[1])
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
    names = {turn.name: [term.name for term in objective.plan(turn, TrainingProgress(0, 0, 1)).terms] for turn in game.turns}
    assert names == {
        "judging": ["square", "of-judge", "watch", "of-maker-2"],
        "making": ["square", "of-maker", "watch", "of-judge-2"],
    }


def test_a_plan_asks_for_what_its_own_terms_differentiate_by() -> None:
    objective, game = objective_of(regularizers=(OfJudge(every=2), Path1(every=3), Between(every=5)))
    found: dict[tuple[str, int], Any] = {}
    for turn in game.turns:
        for count in (1, 2, 3, 5):
            plan = objective.plan(turn, TrainingProgress(count, 0, 1))
            found[turn.name, count] = (set(plan.grad_wrt_sides), set(plan.requires_grad_tensors), plan.needs_double_backward)
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


def test_the_objective_of_another_turn_is_taken_in_that_turn() -> None:
    objective, game = objective_of(regularizers=(OfJudge(), Path1()))
    judging, making = game.turns
    taken = objective.at(making, TrainingProgress(0, 0, 100))
    game_round = open_round(game)
    other = taken(game_round, judging)
    assert game_round.turn is judging
    assert set(other.terms) == {"square", "of-judge"}
    fake = game_round.discriminator_output(game.contests[0], "fake")
    assert isinstance(fake.sample, Tensor)
    assert fake.sample.requires_grad
    game_round = open_round(game)
    assert set(taken(game_round).terms) == {"square", "path"}
    assert game_round.turn is making
    assert game_round["latent"].requires_grad


def test_the_sides_that_a_term_differentiates_by_are_ready_for_it() -> None:
    trainer = begin([batch(*PAIRS[0])], regularizers=(OfJudge(),))
    contest = trainer.game.contests[0]
    sides = ("real", "fake")
    live(trainer).look = lambda game_round: [game_round.discriminator_output(contest, side).sample.requires_grad for side in sides]
    trainer.step()
    assert live(trainer).seen == [[False, True]]


def test_only_terms_with_a_state_keep_one() -> None:
    objective, _ = objective_of(regularizers=(Watch(), OfMaker()))
    live: Any = objective.terms[2].live
    live.state_dict = lambda: {"count": 1}
    empty: Any = objective.terms[1].live
    empty.state_dict = dict
    assert objective.stateful() == {"of-maker": live}


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
    other.enter(game.turns[0])
    monkeypatch.setattr("ganframe.game.objective.gathered", lambda game_round: other)
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
        ({"losses": (Unbounded(labels=(Pull(),)),)}, "'unbounded' compares reals with fakes", ("losses", 0, "labels")),
        ({"losses": (ReadingLoss(),)}, "'reading-loss' reads features, which 'line-judge'", ("losses", 0)),
        ({"regularizers": (Reads(),)}, "'reads' reads class_logits, which 'line-judge'", ("regularizers", 0)),
        ({"regularizers": (Asks(),)}, "'asks' reads the tensor 'depth', which the game does not", ("regularizers", 0)),
        ({"regularizers": (Asks(name="real"),)}, "'asks' calls log_prob, which 'line-maker'", ("regularizers", 0)),
        (
            {"regularizers": (Watch(turns=("other",)),)},
            "the game has no turn 'other'; it has: judging, making",
            ("regularizers", 0, "turns"),
        ),
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


# Schedules


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
