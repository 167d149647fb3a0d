"""The loop of a run: what is due when, in which order, from which data, and how it ends; every number by hand."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from ranks import pretend_rank
from slope_judge import JudgeConfig
from torch import Tensor, nn

from ganframe import BadInput, RunFailed, hookimpl, train
from ganframe.builtin.optimizers import SGD, Adam
from ganframe.config.component_kinds import DatasetConfig, GameConfig, LoggerConfig, MetricConfig, OptimizerConfig
from ganframe.config.experiment import Checkpoint, Ema, Evaluate, Experiment, Snapshot, Train
from ganframe.config.networks import GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import RegularizerConfig
from ganframe.data.tensor_data import TensorData
from ganframe.distributed.shard import Shard
from ganframe.errors import Terminated
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.plugins.discovery import installed
from ganframe.randomness import Randomness
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.training.loop import _batch_loader
from ganframe.training.loop_callbacks import Callback, is_due
from ganframe.training.run_state import Run
from ganframe.training.save_clock import SaveClock
from ganframe.training.start_or_resume import _check_batch_size, train_experiment
from ganframe.training.step import Trainer
from ganframe.training.stop_request import EvaluationAborted, StopRequest

SHAPE = (1, 2, 2)
EXAMPLES = 40


class Factor(nn.Module):
    """Multiplies latents by one number; counts the examples that it sees in training mode."""

    latent_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, latent: Tensor) -> Tensor:
        if self.training:
            self.seen += len(latent)
        return latent * self.factor


class FactorConfig(GeneratorConfig):
    type: Literal["by-hand"] = "by-hand"

    def build(self, **_fit: Any) -> nn.Module:
        return Factor()


class Toy(Game):
    inputs = ("real",)
    output = "fake"
    contests = (Contest("discriminator", real="real", fake="fake"),)

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        self.pictures = config.pictures
        self.turns = (
            Turn("discriminator", ("discriminator",), repeats=config.repeats),
            Turn("generator", ("generator",)),
        )
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        sample = self.data["real"]
        return {
            "generator": PlayerSpec(FactorConfig(), ("generator",), sample),
            "discriminator": PlayerSpec(JudgeConfig(), ("discriminator",), sample),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        return game_round.randomness.normal("latent", (game_round.size, *SHAPE))

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["latent"])

    @tensor
    def row(self, game_round: Round) -> Tensor:
        return torch.zeros(game_round.size, 3)


class ToyConfig(GameConfig):
    type: Literal["by-hand"] = "by-hand"
    repeats: int = 1
    pictures: tuple[str, ...] = ("fake", "latent", "real")

    def build(self, data: DataSpec) -> Game:
        return Toy(self, data)


class Slope(RegularizerConfig):
    """Has the gradient 1 in the generator's number, and 0 in the judge's."""

    type: Literal["by-hand"] = "by-hand"
    side = "both"

    def build(self) -> Any:
        return SlopeTerm()


class SlopeTerm:
    def forward(self, game_round: Round) -> Tensor:
        assert game_round.turn is not None
        if game_round.turn.name == "discriminator":
            return 0 * game_round.game.players["discriminator"].slope
        return game_round.game.players["generator"].factor + 0 * game_round["fake"].sum()


class Numbers(DatasetConfig):
    """Example i is i hundredths, and every example that is held out is -1."""

    type: Literal["by-hand"] = "by-hand"
    held: bool = True
    are_held: bool = False
    broken: bool = False
    held_broken: bool = False
    opened: ClassVar[list[bool]] = []

    def spec(self) -> DataSpec:
        return {"real": TensorSpec(SHAPE)}

    def build(self) -> TensorData:
        if self.broken:
            raise BadInput("no numbers here")
        self.opened.append(self.are_held)
        values = torch.full((EXAMPLES,), -1.0) if self.are_held else torch.arange(EXAMPLES) / 100
        return TensorData({"real": values[:, None, None, None].expand(-1, *SHAPE)})

    def held_out(self) -> DatasetConfig | None:
        return Numbers(are_held=True, broken=self.held_broken) if self.held else None


class Seen(MetricConfig):
    """Keeps what it is given; may ask the run to stop while it measures."""

    type: Literal["by-hand"] = "by-hand"
    samples: int = 150
    asks: bool = False
    given: ClassVar[list[Tensor]] = []
    fakes: ClassVar[list[Tensor]] = []
    latents: ClassVar[list[Tensor]] = []
    asked: ClassVar[list[int]] = []

    def tensors(self) -> tuple[str, ...]:
        return ("real", "fake", "latent")

    def build(self, data: DatasetConfig) -> Any:
        return Filled(self)


class Filled:
    def __init__(self, config: Seen) -> None:
        self.config = config

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        self.config.given.append(tensors["real"])
        self.config.fakes.append(tensors["fake"])
        self.config.latents.append(tensors["latent"])
        if self.config.asks and self.config.asked:
            signal.raise_signal(self.config.asked.pop())

    def compute(self) -> dict[str, float]:
        return {"mean": 0.5}


class Silent(LoggerConfig):
    """Listens; may be one that cannot be built."""

    type: Literal["by-hand"] = "by-hand"
    broken: bool = False
    told: ClassVar[list[int]] = []

    def build(self) -> object:
        if self.broken:
            raise BadInput("no log here")
        return Listener(self.told)


class Listener:
    def __init__(self, told: list[int]) -> None:
        self.told = told

    @hookimpl
    def on_step_end(self, step: int) -> None:
        self.told.append(step)

    def forward(self, _round: Round) -> Tensor:
        return torch.zeros(())


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registry = installed().registry.copy()
    for cls in (FactorConfig, JudgeConfig, ToyConfig, Slope, Numbers, Seen, Silent):
        registry.add(cls, "ganframe")
    monkeypatch.setattr(installed(), "registry", registry)
    monkeypatch.setattr("os.fsync", lambda _file: None)
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")  # they take longer than all else
    for kept in (Numbers.opened, Seen.given, Seen.fakes, Seen.latents, Seen.asked, Silent.told):
        kept.clear()
    yield


def described(images: int = 20, batch: int = 4, *, metrics: Sequence[Seen] = (), **changes: Any) -> Experiment:
    """A run in which the generator's number is -t after t steps."""
    trained = changes.pop("train", {})
    measured = Evaluate(metrics=tuple(metrics), every_images=changes.pop("measure_every", None)) if metrics else None
    settings: dict[str, Any] = {
        "game": ToyConfig(),
        "regularizers": (Slope(),),
        "data": Numbers(),
        "optimizers": {"generator": SGD(lr=1.0)},
        "train": Train(images=images, batch_size=batch, device="cpu", **trained),
        "evaluate": measured,
        "snapshot": Snapshot(count=3, every_images=changes.pop("draw_every", None)),
        "checkpoint": Checkpoint(
            every_images=changes.pop("save_every", None),
            every_minutes=changes.pop("save_minutes", 10),
            keep=changes.pop("keep", 2),
        ),
        "loggers": (),
    }
    return Experiment(**settings | changes)


class Diary:
    """Events in order, with the images seen by then."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.pictures: list[Mapping[str, Tensor]] = []
        self.reals: list[list[int]] = []
        self.errors: list[BaseException | None] = []
        self.saved: list[dict[str, Any]] = []
        self.report_was_there: list[bool] = []
        self.results: list[Mapping[str, float]] = []
        self.files: list[Path] = []

    def at(self, event: str) -> list[int]:
        return [images for name, images in self.events if name == event]

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.run = run
        self.events.append(("start", run.images))

    @hookimpl
    def on_turn_end(self, turn: Turn, rounds: Sequence[Round]) -> None:
        if turn.name == "generator":
            self.reals.append([round(float(each) * 100) for part in rounds for each in part["real"][:, 0, 0, 0]])

    @hookimpl
    def on_step_end(self, run: Run) -> None:
        self.events.append(("step", run.images))

    @hookimpl
    def on_snapshot(self, run: Run, tensors: Mapping[str, Tensor], picture: Path) -> None:
        assert picture.read_bytes() == run.folder.samples.read_bytes()
        self.files.append(picture)
        self.pictures.append(tensors)
        self.events.append(("picture", run.images))

    @hookimpl
    def on_evaluation_start(self, run: Run) -> None:
        self.events.append(("measuring", run.images))

    @hookimpl
    def on_evaluation(self, run: Run, results: Mapping[str, float]) -> None:
        self.results.append(results)
        self.events.append(("metrics", run.images))

    @hookimpl
    def on_checkpoint_save(self, run: Run) -> None:
        self.saved.append({"step": run.step, "looked": run.evaluation_done})
        self.events.append(("save", run.images))

    @hookimpl
    def on_run_end(self, run: Run, error: BaseException | None) -> None:
        self.report_was_there.append(run.folder.report.is_file())
        self.errors.append(error)
        self.events.append(("end", run.images))


def ran(experiment: Experiment, out: Path, *hooks: object, **options: Any) -> Diary:
    diary = Diary()
    train(experiment, out=out, hooks=[diary, *hooks], **options)
    return diary


def number_of(out: Path) -> float:
    return float(load(list_checkpoints(out / "checkpoints")[0])[1]["player.generator"]["factor"])


class At:
    """Does something at the end of a step."""

    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    @hookimpl
    def on_step_end(self, run: Run, step: int) -> None:
        if step == self.step:
            self.act(run)


class SpoilOnce:
    """Makes the number of the generator no number, once, in a turn of this step."""

    def __init__(self, step: int, times: int = 1) -> None:
        self.step, self.times = step, times

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        if turn.name == "generator" and run.step + 1 == self.step and self.times:
            self.times -= 1
            run.game.players["generator"].factor.data.fill_(torch.nan)


def asks(number: int, times: int = 1) -> Any:
    return lambda _run: [signal.raise_signal(number) for _ in range(times)]


def order(*rollback: str | int) -> list[int]:
    """The first epoch of the data, by the seed alone."""
    place = Randomness(0).at("data", *rollback).at(0)
    return torch.randperm(EXAMPLES, generator=place.generator("order")).tolist()


# What is due when.


@pytest.mark.parametrize(
    ("every", "before", "after", "due"),
    [
        (10, 0, 9, False),
        (10, 0, 10, True),
        (10, 9, 10, True),
        (10, 9, 11, True),
        (10, 10, 11, False),
        (10, 10, 19, False),
        (10, 10, 20, True),
        (3, 4, 14, True),
        (1, 0, 1, True),
    ],
)
def test_something_is_due_where_a_multiple_lies_after_before_and_not_after_now(
    every: int, before: int, after: int, due: bool
) -> None:
    assert is_due(every, before, after) is due


TENTHS = list(range(8, 81, 8))


@pytest.mark.parametrize(
    ("images", "batch", "every", "pictures", "saves", "measurements"),
    [
        pytest.param(80, 4, {}, TENTHS, TENTHS, [80], id="every tenth, and measured at the end"),
        pytest.param(87, 4, {}, [*TENTHS, 88], [*TENTHS, 88], [88], id="tenths are rounded down"),
        pytest.param(5, 1, {}, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [5], id="a tenth is one image at least"),
        pytest.param(
            26,
            4,
            {"draw_every": 6, "save_every": 10, "measure_every": 14},
            [8, 12, 20, 24, 28],
            [12, 20, 28],
            [16, 28],
            id="each at its own multiples",
        ),
        pytest.param(
            8, 4, {"draw_every": 90, "save_every": 90, "measure_every": 90}, [8], [8], [8], id="all at the end"
        ),
    ],
)
def test_what_is_due_when(
    tmp_path: Path,
    images: int,
    batch: int,
    every: dict[str, int],
    pictures: list[int],
    saves: list[int],
    measurements: list[int],
) -> None:
    diary = ran(described(images, batch, metrics=[Seen(samples=1)], **every), tmp_path / "run")
    assert diary.at("picture") == pictures
    assert diary.at("save") == [*saves, saves[-1]], "at the end before measuring, too"
    assert diary.at("metrics") == measurements
    assert diary.at("step") == list(range(batch, images + batch, batch))


def test_nothing_is_measured_without_metrics(tmp_path: Path) -> None:
    diary = ran(described(8), tmp_path / "run")
    assert (diary.at("metrics"), Seen.given) == ([], [])


def test_a_step_ends_then_is_drawn_measured_and_saved_and_the_report_comes_last(tmp_path: Path) -> None:
    diary = ran(
        described(8, metrics=[Seen(samples=1)], draw_every=4, save_every=4, measure_every=4),
        tmp_path / "run",
    )
    parts, last = ("step", "picture", "measuring", "metrics", "save"), ("picture", "measuring", "metrics", "save")
    assert diary.events == [
        ("start", 0),
        *((each, 4) for each in parts),
        *((each, 8) for each in ("step", "save", *last)),
        ("end", 8),
    ]
    assert [each["looked"] for each in diary.saved] == [True, False, True]
    assert (diary.errors, diary.report_was_there) == ([None], [False])
    assert (tmp_path / "run" / "report.html").is_file()
    assert diary.results == [{"by-hand/mean": 0.5}] * 2


# Checkpoints by time.


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[float]:
    """A clock on which each step takes so long; its first entry is the time."""
    clock = [1000.0]
    monkeypatch.setattr("ganframe.training.save_clock.monotonic", lambda: clock[0])
    step = Trainer.step

    def slow_step(self: Trainer) -> dict[str, float]:
        clock[0] += seconds
        return step(self)

    monkeypatch.setattr(Trainer, "step", slow_step)
    return clock


@pytest.mark.parametrize(
    ("minutes", "seconds", "saves"),
    [
        (10, 599, [8, 16, 24, 32, 40]),
        (10, 600, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]),
        (1, 25, [12, 24, 36, 40]),
        (None, 1e6, [40]),
    ],
)
def test_a_checkpoint_is_saved_when_the_last_one_is_some_minutes_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float | None, seconds: float, saves: list[int]
) -> None:
    ticking(monkeypatch, seconds)
    assert ran(described(40, save_every=40, save_minutes=minutes), tmp_path / "run").at("save") == saves


def test_ten_minutes_is_the_default() -> None:
    assert Checkpoint().every_minutes == 10


def test_checkpoints_by_images_restart_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes a minute and every second one is saved, so the last one never is three minutes old."""
    ticking(monkeypatch, 60)
    assert ran(described(40, save_every=8, save_minutes=3), tmp_path / "run").at("save") == [8, 16, 24, 32, 40]


def test_what_time_it_is_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ran(described(40, save_every=40), tmp_path / "whole")
    ticking(monkeypatch, 700)
    with pytest.raises(RunFailed):
        ran(described(40, save_every=40), tmp_path / "cut", At(7, fails))
    resumed = ran(described(40, save_every=40), tmp_path / "cut", resume=True)
    assert resumed.at("start") == [24]
    assert number_of(tmp_path / "cut") == number_of(tmp_path / "whole")
    assert whole.reals[6:] == resumed.reals


def test_the_clock_of_the_main_process_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("ganframe.training.save_clock.monotonic", lambda: clock[0])
    for rank, due in ((0, True), (1, False)):
        clock[0] = 0.0
        pretend_rank(monkeypatch, rank, 2)
        saves = SaveClock(1)
        clock[0] = 59.9
        assert not saves.is_due()
        clock[0] = 60.0
        assert saves.is_due() is due
        saves.restart()
        assert not saves.is_due()


def fails(_run: Run) -> None:
    raise RunFailed("the lights went out")


@pytest.mark.parametrize("keep", [1, 3])
def test_the_latest_checkpoints_are_kept(tmp_path: Path, keep: int) -> None:
    ran(described(20, save_every=4, keep=keep), tmp_path / "run")
    kept = [path.name for path in list_checkpoints(tmp_path / "run" / "checkpoints")]
    assert kept == ["000000005", "000000004", "000000003"][:keep]


# What moves, is drawn and measured.


@pytest.mark.parametrize(("half_life", "average"), [(8, -1.5), (4, -1.75), (16, -2 + 0.5**0.5)])
def test_an_average_moves_by_the_images_of_a_whole_step(tmp_path: Path, half_life: int, average: float) -> None:
    """Two repeats of two parts of two: 8 images. The number is -1, then -2; the average begins at the first."""
    experiment = described(
        16, 2, game=ToyConfig(repeats=2), train={"accumulate": 2, "ema": Ema(half_life_images=half_life)}
    )
    diary = ran(experiment, tmp_path / "run")
    assert diary.at("step") == [8, 16]
    averages = load(list_checkpoints(tmp_path / "run" / "checkpoints")[0])[1]["averages"]
    assert float(averages["generator.module.factor"]) == pytest.approx(average)
    assert diary.run.averages is not None and diary.run.averages.players.keys() == {"generator"}
    last = diary.pictures[-1]
    torch.testing.assert_close(last["fake"], last["latent"] * average)


def test_nothing_is_averaged_unless_asked(tmp_path: Path) -> None:
    diary = ran(described(8), tmp_path / "run")
    assert diary.run.averages is None
    torch.testing.assert_close(diary.pictures[-1]["fake"], diary.pictures[-1]["latent"] * -2)


def test_batches_come_in_the_order_of_the_seed(tmp_path: Path) -> None:
    diary = ran(described(12), tmp_path / "run")
    assert diary.reals == [order()[0:4], order()[4:8], order()[8:12]]
    diary = ran(described(4, seed=1), tmp_path / "other")
    place = Randomness(1).at("data").at(0)
    assert diary.reals == [torch.randperm(EXAMPLES, generator=place.generator("order")).tolist()[:4]]


@pytest.mark.parametrize("seed", [0, 3])
def test_pictures_are_of_the_same_inputs_each_time(tmp_path: Path, seed: int) -> None:
    diary = ran(described(12, draw_every=4, seed=seed), tmp_path / "run")
    place = Randomness(seed).at("snapshot", 0)  # the first chunk
    latent = place.normal("latent", (3, *SHAPE))
    chosen = torch.randperm(EXAMPLES, generator=place.at(0).generator("order"))[:3]
    assert len(diary.pictures) == 3
    for step, tensors in enumerate(diary.pictures, start=1):
        assert list(tensors) == ["fake", "latent", "real"]
        assert torch.equal(tensors["latent"], latent)
        assert torch.equal(tensors["fake"], latent * -step)
        torch.testing.assert_close(tensors["real"][:, 0, 0, 0], chosen / 100)
        assert not tensors["fake"].requires_grad


def test_each_picture_has_its_step_and_the_last_stands_alone_too(tmp_path: Path) -> None:
    diary = ran(described(8, draw_every=4), tmp_path / "run")
    folder = tmp_path / "run"
    assert diary.files == [folder / "pictures" / "000000001.png", folder / "pictures" / "000000002.png"]
    assert (folder / "samples.png").read_bytes() == diary.files[1].read_bytes() != diary.files[0].read_bytes()


def test_what_cannot_be_drawn_is_left_out(tmp_path: Path) -> None:
    diary = ran(described(4, game=ToyConfig(pictures=("row",))), tmp_path / "run")
    assert diary.pictures == []
    assert not (tmp_path / "run" / "pictures").exists()


def test_a_run_whose_folder_has_vanished_draws_nothing(tmp_path: Path) -> None:
    vanish = At(1, lambda run: shutil.rmtree(run.folder.path))
    with pytest.raises(RunFailed):
        train(described(8, draw_every=4, save_every=8), out=tmp_path / "run", hooks=[vanish])
    assert not (tmp_path / "run").exists()


def test_pictures_and_metrics_change_no_statistics_of_a_network(tmp_path: Path) -> None:
    modes: list[bool] = []

    class Looks:
        @hookimpl
        def on_run_start(self, run: Run) -> None:
            self.run = run
            run.game.players["generator"].register_forward_hook(self.look)

        def look(self, module: nn.Module, *_: object) -> None:
            modes.append(module.training)

        @hookimpl
        def on_snapshot(self, run: Run) -> None:
            assert all(player.training for player in run.game.players.values())

    experiment = described(12, metrics=[Seen(samples=1)], draw_every=4, measure_every=4)
    ran(experiment, tmp_path / "run", Looks())
    seen = load(list_checkpoints(tmp_path / "run" / "checkpoints")[0])[1]["player.generator"]["seen"]
    assert int(seen) == 12
    assert modes == [True, False, False] * 3


@pytest.mark.parametrize(("held", "opened"), [(True, [False, True]), (False, [False])])
def test_what_is_measured_is_held_out_where_something_is(tmp_path: Path, held: bool, opened: list[bool]) -> None:
    ran(described(4, data=Numbers(held=held), metrics=[Seen()]), tmp_path / "run")
    given = torch.cat(Seen.given)
    assert len(given) == 150
    assert bool((given == -1).all()) is held
    assert bool((given >= 0).all()) is not held
    assert Numbers.opened == opened


def test_averages_are_measured(tmp_path: Path) -> None:
    ran(
        described(8, metrics=[Seen(samples=1)], measure_every=4, train={"ema": Ema(half_life_images=4)}),
        tmp_path / "run",
    )
    # The generator's number is -1, then -2; its average begins with the first and moves by half.
    ratios = [(fake / latent).mean() for fake, latent in zip(Seen.fakes, Seen.latents, strict=True)]
    assert [round(float(ratio), 5) for ratio in ratios] == [-1.0, -1.5, -1.5][: len(ratios)]


def test_measurements_of_another_seed_draw_others(tmp_path: Path) -> None:
    for seed in (0, 0, 5):
        ran(described(4, metrics=[Seen(samples=1)], seed=seed), tmp_path / f"run {len(Seen.latents)}")
    first, again, other = Seen.latents
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_metrics_held_out_data_are_not_opened(tmp_path: Path) -> None:
    ran(described(4), tmp_path / "run")
    assert Numbers.opened == [False]


def test_what_is_not_finite_is_found_before_it_is_drawn(tmp_path: Path) -> None:
    def spoil(run: Run) -> None:
        run.game.memory["pool"] = torch.tensor([torch.nan])

    with pytest.raises(RunFailed, match="step 2: not finite: the memory of the game"):
        train(described(40, draw_every=8, save_every=40), out=tmp_path / "run", hooks=[At(2, spoil)])
    assert not (tmp_path / "run" / "pictures").exists()
    with pytest.raises(RunFailed, match="step 3: not finite: the memory of the game"):
        measured = described(40, metrics=[Seen()], draw_every=40, save_every=40, measure_every=12)
        train(measured, out=tmp_path / "other", hooks=[At(2, spoil)])
    assert Seen.given == []


# Who takes part.


def test_loggers_hooks_and_terms_that_listen_are_each_told_once(tmp_path: Path) -> None:
    heard: list[int] = []
    only = Listener(heard)

    class Term(RegularizerConfig):
        type: Literal["listening"] = "listening"

        def build(self) -> Any:
            return only

    terms = (Slope(), Term(), Term(turns=("generator",)))
    ran(described(8, regularizers=terms, loggers=(Silent(), Silent())), tmp_path / "run")
    assert heard == [1, 2]
    assert Silent.told == [1, 1, 2, 2]


class Unbuildable(OptimizerConfig):
    type: Literal["by-hand"] = "by-hand"

    def build(self, parameters: Any) -> Any:
        raise BadInput("no optimizer here")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"data": Numbers(broken=True)}, ("data",)),
        ({"data": Numbers(held_broken=True), "metrics": [Seen()]}, ("data",)),
        ({"optimizers": {"generator": Unbuildable()}}, ("optimizers", "generator")),
        ({"loggers": (Silent(), Silent(broken=True))}, ("loggers", 1)),
    ],
)
def test_what_cannot_be_built_is_refused_at_its_place_before_a_folder_is_made(
    tmp_path: Path, change: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(BadInput) as problem:
        train(described(4, **change), out=tmp_path / "run")
    assert problem.value.path == path
    assert not (tmp_path / "run").exists()


class Says:
    """Says its name when the run starts."""

    def __init__(self, name: str) -> None:
        self.name = name

    heard: ClassVar[list[str]] = []

    @hookimpl
    def on_run_start(self) -> None:
        self.heard.append(self.name)

    def forward(self, _round: Round) -> Tensor:
        return torch.zeros(())


class SayingLogger(LoggerConfig):
    type: Literal["saying"] = "saying"

    def build(self) -> object:
        return Says("logger")


class SayingTerm(RegularizerConfig):
    type: Literal["saying"] = "saying"

    def build(self) -> Any:
        return Says("term")


def test_hooks_come_before_loggers_and_these_before_terms(tmp_path: Path) -> None:
    Says.heard.clear()
    terms = (Slope(), SayingTerm())
    ran(described(4, regularizers=terms, loggers=(SayingLogger(),)), tmp_path / "run", Says("first"), Says("second"))
    assert Says.heard == ["second", "first", "logger", "term"]


class Misspelt:
    @hookimpl
    def on_stop_end(self) -> None:
        """Be a hook that there is not."""


def test_what_cannot_take_part_is_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="Misspelt"):
        train(described(4), out=tmp_path / "run", hooks=[Misspelt()])

    def lack() -> None:
        raise BadInput("no compiler here")

    monkeypatch.setattr("ganframe.training.start_or_resume.check_compiler", lack)
    with pytest.raises(BadInput, match="no compiler here"):
        train(described(4, train={"compile": True}), out=tmp_path / "run")
    monkeypatch.setattr("ganframe.training.start_or_resume.this_shard", lambda: Shard(0, 3))
    with pytest.raises(BadInput, match="cannot be shared equally by 3"):
        train(described(4), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_process_than_the_main_one_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = {"measure_every": 4, "draw_every": 4, "save_every": 4}
    experiment, other = (
        described(8, metrics=[Seen(samples=1)], loggers=(Silent(),), seed=seed, **every) for seed in (0, 5)
    )
    monkeypatch.setenv("RANK", "1")
    diary = ran(experiment, tmp_path / "run")
    measured = ("measuring", "metrics", "save")
    assert diary.events == [
        ("start", 0),
        *((each, 4) for each in ("step", *measured)),
        *((each, 8) for each in ("step", "save", *measured)),
        ("end", 8),
    ]
    assert not (tmp_path / "run").exists()
    assert Silent.told == []
    monkeypatch.setenv("RANK", "0")
    ran(experiment, tmp_path / "run")
    before = (tmp_path / "run" / "config.yaml").read_text()
    monkeypatch.setenv("RANK", "1")
    ran(other, tmp_path / "run", resume=True, allow_changes=("seed",))
    assert (tmp_path / "run" / "config.yaml").read_text() == before


def test_a_rank_loads_its_rows_of_each_batch_and_has_a_list_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(described(4), tmp_path / "run").run
    run.experiment = described(4, train={"workers": 3})
    pretend_rank(monkeypatch, 1, 2)
    loader = _batch_loader(run, Numbers().build())
    sampler = loader.dataset.sampler
    assert (sampler.batch_size, sampler.shard, loader.workers) == (2, Shard(1, 2), 3)
    assert loader.quarantine is not None
    assert loader.quarantine.path == tmp_path / "run" / "quarantine-1.jsonl"


@pytest.mark.parametrize(("size", "ranks", "remedy"), [(8, 3, "Say 6 or 9."), (2, 3, "Say 3."), (9, 3, None)])
def test_a_batch_is_shared_equally_or_refused(
    monkeypatch: pytest.MonkeyPatch, size: int, ranks: int, remedy: str | None
) -> None:
    pretend_rank(monkeypatch, 0, ranks)
    if remedy is None:
        _check_batch_size(described(batch=size))
        return
    with pytest.raises(BadInput, match=f"a batch of {size} cannot be shared equally by {ranks}") as problem:
        _check_batch_size(described(batch=size))
    assert (problem.value.path, problem.value.remedy) == (("train", "batch_size"), remedy)


def test_every_player_is_compiled_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    monkeypatch.setattr("ganframe.training.start_or_resume.check_compiler", lambda: None)
    ran(described(4), tmp_path / "plain")
    assert compiled == []
    ran(described(4, train={"compile": True}), tmp_path / "run")
    assert compiled == ["Factor", "Judge"]


def test_a_folder_of_its_own_is_called_after_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = train(described(4), name="mine")
    assert folder.path.parent == Path("runs")
    assert folder.path.name.startswith("mine-")


# Stop requests.


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_stop_request_ends_the_run_with_a_checkpoint_of_its_step(
    tmp_path: Path, number: int, raised: type[BaseException]
) -> None:
    diary, rare = Diary(), {"draw_every": 20, "save_every": 20}
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(raised):
        train(described(20, **rare), out=tmp_path / "run", hooks=[diary, At(2, asks(number))])
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert diary.events == [("start", 0), ("step", 4), ("step", 8), ("save", 8), ("end", 8)]
    assert diary.saved == [{"step": 2, "looked": True}]
    assert [type(error) for error in diary.errors] == [raised]
    assert diary.report_was_there == [False]
    assert (tmp_path / "run" / "report.html").is_file()
    resumed = ran(described(20, **rare), tmp_path / "run", resume=True)
    assert resumed.at("step") == [12, 16, 20]
    assert resumed.reals == [order()[8:12], order()[12:16], order()[16:20]]
    assert number_of(tmp_path / "run") == -5


def test_a_stop_request_in_the_last_step_comes_too_late(tmp_path: Path) -> None:
    diary = ran(described(8), tmp_path / "run", At(2, asks(signal.SIGINT)))
    assert diary.errors == [None]


def test_a_second_request_ends_the_run_at_once(tmp_path: Path) -> None:
    diary = Diary()
    with pytest.raises(KeyboardInterrupt):
        train(described(20, save_every=4), out=tmp_path / "run", hooks=[diary, At(2, asks(signal.SIGINT, times=2))])
    assert diary.saved == [{"step": 1, "looked": True}]
    assert [type(error) for error in diary.errors] == [KeyboardInterrupt]
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(("images", "later"), [(20, [12, 16, 20]), (8, [])])
def test_a_measurement_that_was_left_off_is_made_when_the_run_goes_on(
    tmp_path: Path, images: int, later: list[int]
) -> None:
    """It is left off after its first round of a batch, both between two steps and at the end."""
    experiment = described(
        images, metrics=[Seen(asks=True)], draw_every=images, save_every=images, measure_every=8, train={}
    )
    Seen.asked.append(signal.SIGTERM)
    diary = Diary()
    with pytest.raises(Terminated):
        train(experiment, out=tmp_path / "run", hooks=[diary])
    assert [len(each) for each in Seen.given] == [4]
    assert diary.results == []
    assert diary.saved == [{"step": 2, "looked": False}] * (2 if images == 8 else 1)
    assert load(list_checkpoints(tmp_path / "run" / "checkpoints")[0])[1]["progress"]["looked"] is False

    Seen.given.clear()
    resumed = ran(experiment, tmp_path / "run", resume=True)
    assert resumed.at("step") == later
    drawn = [("picture", 8)] if images == 8 else []
    assert resumed.events[: 4 + len(drawn)] == [
        ("start", 8),
        *drawn,
        ("measuring", 8),
        ("metrics", 8),
        ("save", 8),
    ]
    assert [len(each) for each in Seen.given[:38]] == [4] * 37 + [2]
    assert resumed.saved[0] == {"step": 2, "looked": True}
    again = ran(experiment, tmp_path / "run", resume=True)
    assert again.events == [("start", images), ("end", images)]


def test_a_measurement_that_is_taken_up_can_be_left_off_again(tmp_path: Path) -> None:
    experiment = described(8, metrics=[Seen(asks=True)])
    Seen.asked.append(signal.SIGTERM)
    with pytest.raises(Terminated):
        train(experiment, out=tmp_path / "run")
    Seen.asked.append(signal.SIGINT)
    diary = Diary()
    with pytest.raises(KeyboardInterrupt):
        train(experiment, out=tmp_path / "run", resume=True, hooks=[diary])
    assert diary.saved == [{"step": 2, "looked": False}]


class Works(Callback):
    """Notes when it is called; its work may be left off, or fail."""

    def __init__(self, name: str, calls: list[str], problem: Exception | None = None) -> None:
        self.name, self.calls, self.problem = name, calls, problem

    def after_step(self, run: Run, stop_request: StopRequest) -> None:
        self.calls.append(self.name)
        if self.problem is not None:
            raise self.problem

    def at_end(self, run: Run) -> None:
        self.calls.append(f"{self.name} ends")


@pytest.mark.parametrize("fails", [False, True])
def test_work_after_what_was_left_off_or_failed_is_left_off_too_and_all_of_it_ends(tmp_path: Path, fails: bool) -> None:
    calls: list[str] = []
    problem = RunFailed("spoilt") if fails else EvaluationAborted()
    work = [Works("first", calls), Works("second", calls, problem), Works("third", calls)]
    with pytest.raises(RunFailed, match="spoilt") if fails else contextlib.nullcontext():
        train_experiment(
            described(4),
            out=tmp_path / "run",
            resume=False,
            allow_changes=(),
            name="x",
            hooks=[],
            make_callbacks=lambda _experiment, _dataset: work,
        )
    assert calls == ["first", "second", "first ends", "second ends", "third ends"]


# Going back.


def test_a_run_goes_back_to_its_checkpoint_and_on_with_other_data(tmp_path: Path) -> None:
    experiment = described(20, save_every=4, draw_every=20, train={"on_nonfinite": "rollback"})
    diary = ran(experiment, tmp_path / "run", SpoilOnce(3))
    other = order("rollback", 1)
    assert diary.reals == [order()[0:4], order()[4:8], order()[8:12], other[8:12], other[12:16], other[16:20]]
    assert diary.at("save") == [0, 4, 8, 12, 16, 20]
    assert number_of(tmp_path / "run") == -5


def test_a_run_that_may_go_back_begins_with_a_checkpoint(tmp_path: Path) -> None:
    experiment = described(8, save_every=8, train={"on_nonfinite": "rollback"})
    diary = ran(experiment, tmp_path / "run", SpoilOnce(1))
    assert diary.at("save") == [0, 8]
    assert diary.events[:2] == [("start", 0), ("save", 0)]
    assert number_of(tmp_path / "run") == -2


def test_a_resumed_run_begins_with_the_checkpoint_that_it_has(tmp_path: Path) -> None:
    experiment = described(8, save_every=8, train={"on_nonfinite": "rollback"})
    ran(experiment, tmp_path / "run")
    assert ran(experiment, tmp_path / "run", resume=True).at("save") == []


def test_a_run_goes_back_from_what_is_found_after_a_step_too(tmp_path: Path) -> None:
    left = [torch.nan]

    def spoil(run: Run) -> None:
        if left:
            run.game.memory["pool"] = torch.tensor([left.pop()])

    experiment = described(12, draw_every=4, save_every=4, train={"on_nonfinite": "rollback"})
    diary = ran(experiment, tmp_path / "run", At(2, spoil))
    assert diary.at("step") == [4, 8, 8, 12]
    assert diary.at("picture") == [4, 8, 12]


def test_a_run_goes_back_a_few_times_only(tmp_path: Path) -> None:
    experiment = described(8, train={"on_nonfinite": "rollback", "max_rollbacks": 2})
    diary = Diary()
    with pytest.raises(RunFailed, match="went back 2 times already"):
        train(experiment, out=tmp_path / "run", hooks=[diary, SpoilOnce(1, times=9)])
    assert diary.reals == [order()[:4], order("rollback", 1)[:4], order("rollback", 2)[:4]]


class Counted(Trainer):
    opened: ClassVar[list[Trainer]] = []
    closed: ClassVar[list[Trainer]] = []

    def __init__(self, *arguments: Any) -> None:
        assert self.closed == self.opened  # two at once would have twice the workers
        super().__init__(*arguments)
        self.opened.append(self)

    def close(self) -> None:
        self.closed.append(self)
        super().close()


@pytest.mark.parametrize("end", ["whole", "back", "failed"])
def test_whatever_opens_the_data_closes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr("ganframe.training.loop.Trainer", Counted)
    Counted.opened.clear()
    Counted.closed.clear()
    experiment = described(8, train={"on_nonfinite": "stop" if end == "failed" else "rollback"})
    hooks = [] if end == "whole" else [SpoilOnce(1)]
    if end == "failed":
        with pytest.raises(RunFailed, match="not finite"):
            train(experiment, out=tmp_path / "run", hooks=hooks)
    else:
        train(experiment, out=tmp_path / "run", hooks=hooks)
    assert len(Counted.opened) == (2 if end == "back" else 1)
    assert Counted.closed == Counted.opened


# Failures.


class Fails:
    """Fails in a step, and again when it is told of the end."""

    @hookimpl
    def on_step_end(self) -> None:
        raise RunFailed("the first problem")

    @hookimpl(trylast=True)
    def on_run_end(self) -> None:
        raise ValueError("the second problem")


@pytest.mark.parametrize("report_fails", [False, True])
def test_what_fails_after_a_failure_does_not_stand_in_front_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_fails: bool
) -> None:
    if report_fails:

        def report_unreadable(_folder: object) -> None:
            raise ValueError("the third problem")

        monkeypatch.setattr("ganframe.evaluation.callbacks.write_report", report_unreadable)
    diary = Diary()
    with pytest.raises(RunFailed, match="the first problem") as problem:
        train(described(8), out=tmp_path / "run", hooks=[diary, Fails()])
    assert diary.errors == [problem.value]
    assert diary.report_was_there == [False]
    assert (tmp_path / "run" / "report.html").is_file() is not report_fails


def test_what_fails_at_the_end_of_a_whole_run_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class LateFailure:
        @hookimpl(trylast=True)
        def on_run_end(self) -> None:
            raise RunFailed("too late")

    diary = Diary()
    with pytest.raises(RunFailed, match="too late"):
        train(described(4), out=tmp_path / "run", hooks=[diary, LateFailure()])
    assert diary.errors == [None]


# Going on.


def test_to_go_on_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--resume needs the run folder") as problem:
        train(described(4), resume=True)
    assert problem.value.remedy == "Add --out RUN."


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ((), "seed, train.total_images"),
        (("train",), "seed"),
        (("train.images",), "seed"),
        (("train.total_images",), "seed"),
        (("train.total_ima", "see"), "seed, train.total_images"),
        (("train.total_images.more",), "seed, train.total_images"),
        (("seed", "train"), None),
    ],
)
def test_a_changed_config_is_refused_unless_each_change_is_allowed(
    tmp_path: Path, allowed: tuple[str, ...], refused: str | None
) -> None:
    ran(described(4), tmp_path / "run")
    changed = described(8, seed=5)
    if refused is None:
        diary = ran(changed, tmp_path / "run", resume=True, allow_changes=allowed)
        assert diary.at("step") == [8]
        kept, now = ((tmp_path / "run" / name).read_text() for name in ("config-before-1.yaml", "config.yaml"))
        assert "seed: 5" in now
        assert "seed: 5" not in kept
        return
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(BadInput) as problem:
        train(changed, out=tmp_path / "run", resume=True, allow_changes=allowed)
    assert problem.value.message == f"the config differs from that of the run in: {refused}"
    says = " ".join(f"--allow-changes {each}" for each in refused.split(", "))
    assert problem.value.remedy.endswith(f"say {says}.")
    assert problem.value.place == str(tmp_path / "run" / "config.yaml")
    assert (tmp_path / "run" / "config.yaml").read_text() == before


def test_a_changed_config_that_does_not_fit_the_checkpoint_is_not_adopted(tmp_path: Path) -> None:
    ran(described(4), tmp_path / "run")
    before = (tmp_path / "run" / "config.yaml").read_text()
    changed = described(8, optimizers={"generator": Adam()})
    with pytest.raises(BadInput, match="does not fit this config: optimizer generator"):
        train(changed, out=tmp_path / "run", resume=True, allow_changes=("train", "optimizers"))
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    assert not list((tmp_path / "run").glob("config-before-*"))


@pytest.mark.parametrize("file", ["scalars.jsonl", "metrics.jsonl", "environment.json"])
def test_a_run_with_a_damaged_file_is_refused_before_anything_is_changed(tmp_path: Path, file: str) -> None:
    ran(described(4), tmp_path / "run")
    (tmp_path / "run" / file).write_text("nonsense\n")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    with pytest.raises(BadInput, match="not what a run writes") as problem:
        train(described(8), out=tmp_path / "run", resume=True, allow_changes=("train",))
    assert file in problem.value.place
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def test_a_run_that_goes_on_says_which_versions_have_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    ran(described(4), out)
    now = (out / "environment.json").read_text()
    older = json.loads(now) | {"python": "2.7"}
    (out / "environment.json").write_text(json.dumps(older))
    ran(described(4), out, resume=True)
    assert json.loads((out / "environment.json").read_text()) == json.loads(now)
    assert json.loads((out / "environment-before-1.json").read_text()) == older
    assert "instead of 2.7" in "".join(capsys.readouterr())


def test_a_run_without_resume_is_never_overwritten(tmp_path: Path) -> None:
    ran(described(4), tmp_path / "run")
    with pytest.raises(BadInput, match="exists already"):
        train(described(4), out=tmp_path / "run")


def test_training_takes_no_draw_from_the_caller(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    ran(described(4), tmp_path / "run")
    assert torch.equal(torch.rand(2), expected)
