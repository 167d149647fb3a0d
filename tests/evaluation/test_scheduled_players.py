"""Settings of players that follow a schedule: in averages, pictures, metrics, loaded runs, samples and exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import safetensors
import torch
from torch import Tensor, nn

from ganframe import Experiment, hookimpl, load, train
from ganframe.builtin.schedules import Linear
from ganframe.config.component_kinds import DatasetConfig, GameConfig, MetricConfig
from ganframe.config.experiment import Checkpoint, Ema, Evaluate, Snapshot, Train
from ganframe.config.network_transforms import GeneratorTransform
from ganframe.config.networks import GeneratorConfig
from ganframe.config.schedules import Bounds, Scheduled, initial_value
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.evaluation.export import export
from ganframe.evaluation.metrics import measure_run
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.game.wrapper import Wrapper
from ganframe.plugins.discovery import installed
from ganframe.runs.folder import RunFolder
from ganframe.testing.fakes import FakeData, FakeDiscriminator
from ganframe.testing.runs import FakeLoss
from ganframe.training.assembly import assemble, generator_players
from ganframe.training.ema import make_averages
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run

STAGES = Linear(start=0, end=2, duration_images=400)
"""0 at the start, 1 after 200 images, 2 from 400 images on."""


class Staged(nn.Module):
    """Makes samples that are its stage everywhere."""

    latent_shape = (3,)

    def __init__(self, shape: tuple[int, ...], stage: float) -> None:
        super().__init__()
        self.shape, self.stage = shape, stage
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, latent: Tensor) -> Tensor:
        level = self.weight * 0 * latent.sum(1) + self.stage
        return level.reshape(-1, *(1,) * len(self.shape)).expand(-1, *self.shape)


class StagedConfig(GeneratorConfig):
    """Makes samples that are its stage everywhere."""

    type: Literal["staged"] = "staged"
    stage: Annotated[Scheduled, Bounds(ge=0)] = 0.0

    def build(self, *, output: TensorSpec, **_: Any) -> nn.Module:
        return Staged(output.shape, initial_value(self.stage))


class Lifted(Wrapper):
    """Adds a number to what another network makes."""

    def __init__(self, network: nn.Module, lift: float) -> None:
        super().__init__(network)
        self.lift = lift

    def forward(self, latent: Tensor) -> Tensor:
        return self.network(latent) + self.lift


class LiftedConfig(GeneratorTransform):
    """Adds a number to what another network makes."""

    type: Literal["lifted"] = "lifted"
    lift: Scheduled = 0.0

    def change(self, network: nn.Module, **_: Any) -> nn.Module:
        return Lifted(network, initial_value(self.lift))


class Stage(Game):
    """Multiplies what the generator makes by a factor, and knows how far the run is."""

    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def __init__(self, config: StageConfig, data: DataSpec) -> None:
        self.config, self.factor = config, initial_value(config.factor)
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), self.data["real"]),
            "discriminator": PlayerSpec(FakeDiscriminator(), ("discriminator",), self.data["real"]),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        latent = game_round.randomness.normal("latent", (game_round.size, 3))
        return self.factor * self.players["generator"](latent)

    @tensor
    def share(self, game_round: Round) -> Tensor:
        """The share of the run that is over."""
        return torch.full((game_round.size, 1), game_round.progress.images / game_round.progress.total)


class StageConfig(GameConfig):
    """A generator with a stage."""

    type: Literal["stage"] = "stage"
    generator: GeneratorConfig
    factor: Scheduled = 1.0

    def build(self, data: DataSpec) -> Game:
        return Stage(self, data)


class Means(MetricConfig):
    """The means of two tensors."""

    type: Literal["means"] = "means"
    samples: int = 10

    def tensors(self) -> tuple[str, ...]:
        return ("fake", "share")

    def build(self, data: DatasetConfig) -> Any:
        return LiveMeans()


class LiveMeans:
    def __init__(self) -> None:
        self.found = dict[str, float]()

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        self.found = {name: float(value.mean()) for name, value in tensors.items()}

    def merge(self, other: Any) -> None:
        raise NotImplementedError

    def compute(self) -> dict[str, float]:
        return self.found


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[None]:
    registry = installed().registry.copy()
    for cls in (StagedConfig, LiftedConfig, StageConfig, Means, FakeDiscriminator, FakeData, FakeLoss):
        if (cls.kind, cls.type_name()) not in registry.classes:
            registry.add(cls, "ganframe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "registry", registry)
        yield


class Watch:
    """The stages of live and averaged generators in each step, and the samples of pictures and metrics."""

    def __init__(self) -> None:
        self.stages, self.pictures = list[tuple[float, float]](), list[float]()
        self.metrics = list[Mapping[str, float]]()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        if turn.name == "generator":
            average = run.averages.players["generator"] if run.averages else run.game.players["generator"]
            self.stages.append((run.game.players["generator"].stage, average.stage))

    @hookimpl
    def on_snapshot(self, tensors: Mapping[str, Tensor]) -> None:
        self.pictures.append(float(tensors["fake"].mean()))

    @hookimpl
    def on_evaluation(self, results: Mapping[str, float]) -> None:
        self.metrics.append(results)


def described(generator: GeneratorConfig, images: int = 400, *, ema: Ema | None, **game: Any) -> Experiment:
    return Experiment(
        game=StageConfig(generator=generator, **game),
        losses=(FakeLoss(),),
        data=FakeData(),
        train=Train(total_images=images, batch_size=100, device="cpu", ema=ema),
        evaluate=Evaluate(metrics=(Means(),), every_images=200),
        snapshot=Snapshot(every_images=200, count=4),
        checkpoint=Checkpoint(every_images=200),
    )


EMA = [Ema(half_life_images=1000), None]


@pytest.mark.parametrize("ema", EMA)
def test_a_schedule_holds_in_averages_pictures_metrics_and_loaded_runs(ema: Ema | None, tmp_path: Path) -> None:
    watch = Watch()
    folder = train(described(StagedConfig(stage=STAGES), ema=ema), out=tmp_path / "run", hooks=[watch])
    assert watch.stages == [(0, 0), (0.5, 0.5), (1, 1), (1.5, 1.5)]
    assert watch.pictures == [1, 2]
    assert [(each["means/fake"], each["means/share"]) for each in watch.metrics] == [(1, 0.5), (2, 1)]
    loaded = load(folder.path, device="cpu")
    assert loaded.players["generator"].stage == 2
    assert loaded.sample(3).unique().tolist() == [2]
    assert (loaded.game.progress.images, loaded.game.progress.total) == (400, 400)
    assert loaded.tensors(2, ["share"])["share"].tolist() == [[1], [1]]
    assert measure_run(folder.path, (), 0, "cpu").results == watch.metrics[-1]


def test_a_run_that_is_loaded_half_way_has_the_settings_of_its_checkpoint(tmp_path: Path) -> None:
    experiment = described(StagedConfig(stage=STAGES), 800, ema=EMA[0])
    folder = train(
        experiment.model_copy(update={"checkpoint": Checkpoint(every_images=300, keep=9)}), out=tmp_path / "run"
    )
    for path in sorted((folder.path / "checkpoints").iterdir())[1:]:  # leaves the one after 300 images
        path.rename(tmp_path / path.name)
    loaded = load(folder.path, device="cpu")
    assert loaded.players["generator"].stage == 1.5
    assert (loaded.game.progress.images, loaded.game.progress.total) == (300, 800)
    assert loaded.game.with_players({}).progress is loaded.game.progress


def test_schedules_of_networks_inside_players_and_of_games_hold_too(tmp_path: Path) -> None:
    """Twice the sum of a stage of 2 and a lift of 3."""
    generator = LiftedConfig(of=StagedConfig(stage=STAGES), lift=Linear(start=0, end=3))
    experiment = described(generator, ema=EMA[0], factor=Linear(start=1, end=2))
    watch = Watch()
    folder = train(experiment, out=tmp_path / "run", hooks=[watch])
    assert watch.pictures == pytest.approx([1.5 * (1 + 1.5), 2 * (2 + 3)])
    loaded = load(folder.path, device="cpu")
    assert loaded.sample(3).unique().tolist() == [10]
    assert (loaded.players["generator"].network.stage, loaded.players["generator"].lift) == (2, 3)


def test_exports_hold_the_value_at_the_checkpoint(tmp_path: Path) -> None:
    generator = LiftedConfig(of=StagedConfig(stage=STAGES), lift=Linear(start=0, end=3))
    loaded = load(train(described(generator, ema=EMA[0]), out=tmp_path / "run").path, device="cpu")
    export(loaded, "generator", tmp_path / "generator.safetensors")
    with safetensors.safe_open(tmp_path / "generator.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
    assert (config["lift"], config["of"]["stage"]) == (3, 2)
    export(loaded, "generator", tmp_path / "generator.pt2")
    program = torch.export.load(tmp_path / "generator.pt2").module()
    assert program(torch.zeros(2, 3)).unique().tolist() == [5]


@pytest.mark.parametrize("ema", EMA)
def test_samples_of_a_resumed_run_have_the_settings_of_its_checkpoint_before_any_step(
    ema: Ema | None, tmp_path: Path
) -> None:
    """An evaluation that was interrupted is repeated before the first step."""
    experiment = described(StagedConfig(stage=STAGES), ema=ema)
    assembly = assemble(experiment)
    averages = make_averages(generator_players(assembly.game), experiment.train, 100)
    run = Run(experiment, RunFolder(tmp_path), assembly, {}, averages, RunHooks(), images=200)
    game = run.sampling_game()
    assert game.players["generator"].stage == 1
    assert (game.progress.images, game.progress.total) == (200, 400)
    assert run.game.progress.images == 0
