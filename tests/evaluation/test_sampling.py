"""Averages, samples, measurements, walks, logs and reports, each number and mode by hand."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from PIL import Image
from ranks import pretend_rank
from slope_judge import Judge, JudgeConfig
from torch import Tensor, nn

from ganframe import BadInput, train
from ganframe.builtin.jsonl import JsonlLogger
from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD
from ganframe.config.component_kinds import DatasetConfig, GameConfig, MetricConfig
from ganframe.config.experiment import Ema, Evaluate, Experiment, Snapshot, Train
from ganframe.config.networks import GeneratorConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.terms import RegularizerConfig
from ganframe.data.tensor_data import TensorData
from ganframe.evaluation import report
from ganframe.evaluation.diagnostics import diagnose
from ganframe.evaluation.interpolation import interpolate, slerp
from ganframe.evaluation.loaded_run import LoadedRun, load
from ganframe.evaluation.metrics import Evaluation, measure_run
from ganframe.evaluation.sampling import SamplingBatch, balanced_labels, sampling_mode, sampling_round
from ganframe.game.contest import Contest
from ganframe.game.game import Game
from ganframe.game.makers import tensor
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.plugins.discovery import installed
from ganframe.randomness import Randomness
from ganframe.runs.folder import RunFolder
from ganframe.runs.logs import Log, read_log
from ganframe.training.ema import AveragedPlayers

CPU = torch.device("cpu")
CLASSES = 3
EXAMPLES = 300
AVERAGE = -1.5
"""Half of -1 and half of -2: the generator's number after two steps, each of a half-life's images."""


class Factor(nn.Module):
    """Multiplies latents by one number and adds ten times the class; in training mode it adds a thousand."""

    latent_shape = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))
        self.held = nn.Dropout().eval()
        self.part = nn.Dropout()

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        return latent * self.factor + 10.0 * condition[:, None] + 1000.0 * self.training


class FactorConfig(GeneratorConfig):
    type: Literal["by-hand-row"] = "by-hand-row"
    conditional = True

    def build(self, **_fit: Any) -> nn.Module:
        return Factor()


LABELLED = Contest("discriminator", real="real", fake="fake", real_condition="label", fake_condition="label")


class Toy(Game):
    inputs = ("real", "label")
    output = "fake"
    pictures = ("fake",)
    contests = (LABELLED,)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        sample, label = self.data["real"], self.data["label"]
        return {
            "generator": PlayerSpec(FactorConfig(), ("generator",), sample, condition=label),
            "discriminator": PlayerSpec(JudgeConfig(), ("discriminator",), sample, condition=label),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        return game_round.randomness.normal("latent", (game_round.size, 4))

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["generator"](game_round["latent"], game_round["label"])

    @tensor
    def half(self, game_round: Round) -> Tensor:
        return game_round["latent"].bfloat16()

    @tensor
    def dropped(self, game_round: Round) -> Tensor:
        return torch.rand(game_round.size, 4)  # as dropout does, from the global generator

    @tensor
    def chosen(self, game_round: Round) -> Tensor:
        return game_round["label"]


class ToyConfig(GameConfig):
    type: Literal["by-hand-row"] = "by-hand-row"

    def build(self, data: DataSpec) -> Game:
        return Toy(data)


class FromSample(GeneratorConfig):
    type: Literal["by-hand-from"] = "by-hand-from"
    starts_from = "sample"

    def build(self, **_fit: Any) -> nn.Module:
        return nn.Identity()


class Translates(Toy):
    """Starts from samples of the data, so that labels are theirs."""

    def player_specs(self) -> dict[str, PlayerSpec]:
        return {"generator": PlayerSpec(FromSample(), ("generator",), self.data["real"], source=self.data["real"])}


class Slope(RegularizerConfig):
    type: Literal["by-hand-row"] = "by-hand-row"
    side = "both"

    def build(self) -> Any:
        return SlopeTerm()


class SlopeTerm:
    """Has the gradient 1 in the number of the player who moves."""

    def forward(self, game_round: Round) -> Tensor:
        assert game_round.turn is not None
        moves = game_round.game.players[game_round.turn.name]
        return 1.0 * (moves.slope if game_round.turn.name == "discriminator" else moves.factor)


class Rows(DatasetConfig):
    """Example i is a row of i, of the class i % 3; what is held out is i + 1000, of the class (i + 1) % 3."""

    type: Literal["by-hand-row"] = "by-hand-row"
    are_held: bool = False
    held: bool = True

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((4,)), "label": TensorSpec((), classes=CLASSES)}

    def build(self) -> TensorData:
        values = torch.arange(EXAMPLES)
        real = (values + 1000.0 * self.are_held)[:, None].expand(-1, 4)
        return TensorData({"real": real, "label": (values + self.are_held) % CLASSES})

    def held_out(self) -> DatasetConfig | None:
        return Rows(are_held=True) if self.held else None


class Seen(MetricConfig):
    """Keeps what it is given; its result is the mean of `real`."""

    type: Literal["by-hand-row"] = "by-hand-row"
    built: ClassVar[list[Filled]] = []

    def tensors(self) -> tuple[str, ...]:
        return ("real", "fake", "latent", "dropped")

    def build(self, data: DatasetConfig) -> Any:
        self.built.append(Filled(data))
        return self.built[-1]


class Filled:
    def __init__(self, data: DatasetConfig) -> None:
        self.data = data
        self.given: list[Mapping[str, Tensor]] = []

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        assert not torch.is_grad_enabled()
        self.given.append(tensors)

    def compute(self) -> dict[str, float]:
        return {"mean": self.all("real").mean().item(), "count": float(len(self.all("real")))}

    def all(self, name: str) -> Tensor:
        return torch.cat([each[name] for each in self.given])


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[None]:
    registry = installed().registry.copy()
    for cls in (FactorConfig, JudgeConfig, ToyConfig, FromSample, Slope, Rows, Seen):
        registry.add(cls, "ganframe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "registry", registry)
        patch.setattr("os.fsync", lambda _file: None)
        yield


def described(**changes: Any) -> Experiment:
    """Two steps of a batch of four, with an average that moves by half in each."""
    settings: dict[str, Any] = {
        "game": ToyConfig(),
        "regularizers": (Slope(),),
        "data": Rows(),
        "optimizers": {name: SGD(lr=1.0) for name in ("generator", "discriminator")},
        "train": Train(images=8, batch_size=4, device="cpu", ema=Ema(half_life_images=4)),
        "snapshot": Snapshot(count=3),
        "loggers": (Jsonl(every=1),),
    }
    return Experiment(**settings | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganframe.evaluation.report._curves", lambda _log: "")
        train(described(), out=out)
    return out


@pytest.fixture
def trained(folder: Path) -> LoadedRun:
    return load(folder, device="cpu")


def played(cls: type[Toy] = Toy) -> Game:
    """The game with fresh players in training mode, the generator's number at 1."""
    game = cls(Rows().spec())
    generator = Factor()
    generator.factor.data.fill_(1.0)
    game.set_players({"generator": generator, "discriminator": Judge()})
    return game


def latents(place: Randomness, size: int) -> Tensor:
    return place.normal("latent", (size, 4))


def shuffled(place: Randomness) -> list[int]:
    return torch.randperm(EXAMPLES, generator=place.at(0).generator("order")).tolist()


# Averages.


class Parts(nn.Module):
    """A weight and buffers of each kind, all of them at 0 to begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("mask", torch.zeros(2), persistent=False)

    def fill(self, value: float) -> None:
        with torch.no_grad():
            for each in (self.weight, self.mean, self.count, self.mask):
                each.fill_(value)


def test_an_average_keeps_its_share_of_the_old_and_takes_the_latest_of_what_has_no_mean() -> None:
    first, second = Parts(), Parts()
    averages = AveragedPlayers({"first": first, "second": second}, decay=0.75)
    for value in (4.0, 8.0):
        first.fill(value)
        second.fill(-value)
        averages.update()
    assert averages.players.keys() == {"first", "second"}
    for name, sign in (("first", 1), ("second", -1)):
        average = averages.players[name]
        assert average.weight.tolist() == [sign * 5.0] * 2  # 3/4 of 4 and 1/4 of 8
        assert average.mean.tolist() == [sign * 5.0] * 2
        assert average.count.tolist() == [sign * 8] * 2
        assert average.mask.tolist() == [sign * 8.0] * 2
        assert not average.weight.requires_grad
    assert first.weight.requires_grad
    assert first.weight.tolist() == [8.0, 8.0]
    assert [each.tolist() for each in averages.tensors()] == [[5, 5], [5, 5], [-5, -5], [-5, -5]]


def test_an_average_that_was_saved_goes_on_where_it_was() -> None:
    source = Parts()
    averages = AveragedPlayers({"g": source}, decay=0.5)
    source.fill(2.0)
    averages.update()
    saved = {name: each.clone() for name, each in averages.state_dict().items()}
    assert saved.keys() == {"g.n_averaged", "g.module.weight", "g.module.mean", "g.module.count"}
    again = AveragedPlayers({"g": source, "gg": Parts()}, decay=0.5)
    other = {f"g{name}": torch.full_like(each, 7) for name, each in saved.items()}
    again.load_state_dict(saved | other)
    assert again.players["g"].weight.tolist() == [2.0, 2.0]
    assert again.players["gg"].weight.tolist() == [7.0, 7.0]
    source.fill(4.0)
    again.update()
    assert again.players["g"].weight.tolist() == [3.0, 3.0]


# A round outside training.


def test_labels_come_every_class_in_turn() -> None:
    assert balanced_labels(TensorSpec((), classes=3), 7, CPU).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert balanced_labels(TensorSpec((), classes=1), 2, CPU).tolist() == [0, 0]


def never() -> TensorData:
    raise AssertionError("the data were opened")


def test_labels_that_nobody_starts_from_need_no_data() -> None:
    inputs = SamplingBatch(played(), never, 5, Randomness(0), CPU, {})
    assert inputs["label"].tolist() == [0, 1, 2, 0, 1]


def test_labels_of_data_that_were_drawn_stay_with_them() -> None:
    place, opened = Randomness(4), list[int]()

    def data() -> TensorData:
        opened.append(1)
        return Rows().build()

    inputs = SamplingBatch(played(), data, 5, place, CPU, {})
    chosen = shuffled(place)[:5]
    assert inputs["real"][:, 0].tolist() == chosen
    assert inputs["label"].tolist() == [each % 3 for each in chosen]
    assert inputs["real"][:, 3].tolist() == chosen
    assert opened == [1]


def test_labels_of_samples_that_somebody_starts_from_are_those_of_the_data() -> None:
    place = Randomness(4)
    inputs = SamplingBatch(played(Translates), Rows().build, 5, place, CPU, {})
    assert inputs["label"].tolist() == [each % 3 for each in shuffled(place)[:5]]


def test_what_is_given_stands_for_the_data_and_for_what_is_made() -> None:
    given = {"latent": torch.ones(2, 4), "label": torch.tensor([2, 0])}
    inputs = SamplingBatch(played(), never, 2, Randomness(0), CPU, given)
    assert inputs["label"].tolist() == [2, 0]
    assert set(inputs) == {"real", "label", "latent"}
    assert len(inputs) == 3
    assert "latent" in inputs and "real" in inputs and "fake" not in inputs
    with pytest.raises(KeyError, match="fake"):
        inputs["fake"]
    bare = SamplingBatch(played(), never, 2, Randomness(0), CPU, {})
    assert (len(bare), "latent" in bare) == (2, False)
    game_round = sampling_round(played(), never, 2, Randomness(0), CPU, given)
    expected = torch.tensor([[21.0], [1.0]]).expand(-1, 4) + 1000  # these players train
    assert torch.equal(game_round["fake"], expected)


def test_what_is_given_and_labels_go_to_the_device_of_the_players() -> None:
    device = torch.device("meta")
    inputs = SamplingBatch(played(), never, 2, Randomness(0), device, {"latent": torch.ones(2, 4)})
    assert {inputs[name].device.type for name in ("latent", "label")} == {"meta"}


def test_labels_of_several_numbers_are_those_of_the_data() -> None:
    game = played()
    game.data = {**game.data, "label": TensorSpec((2,), classes=3)}
    with pytest.raises(AssertionError, match="the data were opened"):
        SamplingBatch(game, never, 2, Randomness(0), CPU, {})["label"]


def test_a_round_is_of_the_size_and_draws_that_were_asked_for() -> None:
    place = Randomness(0).at("somewhere")
    game_round = sampling_round(played(), never, 3, place, CPU)
    assert torch.equal(game_round["latent"], latents(place, 3))
    assert (game_round.size, game_round.turn) == (3, None)


def test_players_sample_in_eval_mode_without_gradients_and_go_back_part_by_part() -> None:
    game, place = played(), Randomness(0).at("mode")
    generator, judge = game.players["generator"], game.players["discriminator"]
    with sampling_mode(game, place, CPU):
        assert not any(part.training for player in (generator, judge) for part in player.modules())
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert [each.training for each in (generator, generator.held, generator.part, judge)] == [True, False, True, True]
    assert torch.is_grad_enabled()
    with pytest.raises(ValueError, match="inside"), sampling_mode(game, place, CPU):
        raise ValueError("inside")
    assert [each.training for each in (generator, generator.held, generator.part, judge)] == [True, False, True, True]


def test_a_round_without_training_leaves_nothing_in_the_memory_of_the_game() -> None:
    game = played()
    kept = torch.zeros(1)
    game.memory["pool"] = kept
    with sampling_mode(game, Randomness(0).at("mode"), CPU):
        game.memory["pool"] = torch.ones(1)
        game.memory["drawn"] = torch.ones(1)
    assert game.memory.keys() == {"pool"}
    assert game.memory["pool"] is kept


def test_dropout_that_is_active_while_sampling_draws_by_the_seed_and_from_nobody_else() -> None:
    game, place = played(), Randomness(0).at("mode")
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    drawn: list[Tensor] = []
    for each in (place, place, Randomness(1).at("mode")):
        with sampling_mode(game, each, CPU):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], torch.rand(4, generator=place.generator("sampling")))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.rand(2), expected)


# What a run has learnt.


def test_a_loaded_run_has_averaged_makers_and_the_judge_as_it_was(trained: LoadedRun) -> None:
    generator, judge = trained.players["generator"], trained.players["discriminator"]
    assert generator.factor.item() == AVERAGE
    assert judge.slope.item() == -1.0  # 1, and two steps of 1
    assert trained.step == 2
    assert trained.device == CPU
    for player in (generator, judge):
        assert not any(part.training for part in player.modules())
        assert not any(each.requires_grad for each in player.parameters())


def test_a_run_that_averaged_nothing_is_loaded_as_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")
    train(described(train=Train(images=8, batch_size=4, device="cpu"), data=Rows(held=False)), out=tmp_path / "run")
    trained = load(tmp_path / "run", device="cpu")
    assert trained.players["generator"].factor.item() == -2.0
    assert trained.dataset.fetch([0], Randomness(0))["real"].tolist() == [[0.0] * 4]


def test_a_device_that_is_not_here_is_no_setting_of_the_config(folder: Path) -> None:
    with pytest.raises(BadInput, match="no device 'nonsense' here") as problem:
        load(folder, device="nonsense")
    assert problem.value.path == ()
    assert problem.value.remedy == "Set it to cpu or auto."


def test_a_run_without_a_checkpoint_cannot_be_loaded(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", described(), Rows().spec())
    with pytest.raises(BadInput, match="this run has no checkpoint yet") as problem:
        load(tmp_path / "run", device="cpu")
    assert problem.value.place == str(tmp_path / "run")


def test_a_run_is_loaded_without_its_data_which_are_missed_when_they_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_data: Rows) -> Any:
        raise BadInput("the data are gone")

    monkeypatch.setattr(Rows, "spec", gone)
    monkeypatch.setattr(Rows, "build", gone)
    trained = load(folder, device="cpu")
    with pytest.raises(BadInput, match="the data are gone") as problem:
        _ = trained.dataset
    assert problem.value.path == ("data",)


def test_a_run_goes_to_the_device_that_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.loaded_run._restore_players", lambda *_, **__: None)  # none fit there
    trained = load(folder, device="meta")
    assert trained.device.type == trained.players["discriminator"].slope.device.type == "meta"


def test_a_checkpoint_that_lacks_a_player_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.loaded_run.load_latest", lambda _folder: (2, {}))
    with pytest.raises(BadInput, match="the checkpoint does not fit the run's config: KeyError") as problem:
        load(folder, device="cpu")
    assert problem.value.place == str(folder / "checkpoints")


@pytest.mark.parametrize(("makers", "labels"), [(("latent", "fake"), [0, 1, 2, 0]), (("fake",), None)])
def test_classes_come_in_turn_where_samples_start_from_latents(
    trained: LoadedRun, monkeypatch: pytest.MonkeyPatch, makers: tuple[str, ...], labels: list[int] | None
) -> None:
    asked: list[Any] = []

    def tensors(count: int, names: tuple[str, ...], *, labels: list[int] | None, **_: Any) -> dict[str, Tensor]:
        asked.append(labels)
        return {name: torch.zeros(count) for name in names}

    monkeypatch.setattr(Toy, "makers", makers)
    monkeypatch.setattr(trained, "tensors", tensors)
    trained.sample(4)
    assert asked == [labels]


def test_each_batch_of_samples_has_latents_of_its_own(trained: LoadedRun) -> None:
    made = trained.sample(128, batch_size=64)
    place = Randomness(0).at("sample")
    latent = torch.cat([latents(place.at(0), 64), latents(place.at(64), 64)])
    labels = torch.arange(128) % 3
    assert torch.equal(made, latent * AVERAGE + 10.0 * labels[:, None])
    assert not torch.equal(made[:64] - 10.0 * labels[:64, None], made[64:] - 10.0 * labels[64:, None])


def test_the_last_batch_of_samples_is_what_is_left(trained: LoadedRun) -> None:
    made = trained.sample(5, seed=7, batch_size=2)
    place = Randomness(7).at("sample")
    latent = torch.cat([latents(place.at(0), 2), latents(place.at(2), 2), latents(place.at(4), 1)])
    assert torch.equal(made, latent * AVERAGE + 10.0 * torch.tensor([0, 1, 2, 0, 1])[:, None])


def test_a_seed_says_which_samples(trained: LoadedRun) -> None:
    assert torch.equal(trained.sample(4, seed=1), trained.sample(4, seed=1))
    assert not torch.equal(trained.sample(4, seed=1), trained.sample(4, seed=2))
    assert torch.equal(trained.sample(4), trained.sample(4, seed=0))
    dropped = [trained.tensors(4, ("dropped",), seed=seed)["dropped"] for seed in (1, 1, 2)]
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[0], dropped[2])


def test_labels_and_inputs_are_shared_out_to_the_batches(trained: LoadedRun) -> None:
    latent = torch.arange(20.0).reshape(5, 4)
    made = trained.sample(5, labels=[2, 2, 1, 0, 1], inputs={"latent": latent}, batch_size=2)
    assert torch.equal(made, latent * AVERAGE + torch.tensor([20.0, 20, 10, 0, 10])[:, None])
    named = trained.sample(5, inputs={"latent": latent, "label": torch.tensor([2, 2, 1, 0, 1])})
    assert torch.equal(named, made)


def test_named_tensors_are_floats_on_the_cpu_in_the_order_of_the_names(trained: LoadedRun) -> None:
    made = trained.tensors(3, ("half", "latent", "label"), batch_size=2)
    assert list(made) == ["half", "latent", "label"]
    assert {each.dtype for each in made.values()} == {torch.float32}
    torch.testing.assert_close(made["half"], made["latent"].bfloat16().float())
    assert made["label"].tolist() == [0, 1, 2]  # the second batch goes on where the first one ends


def test_inputs_come_from_data_that_were_held_out(trained: LoadedRun) -> None:
    made = trained.tensors(6, ("real", "label"), seed=3, batch_size=4)
    place = Randomness(3).at("sample")
    chosen = [*shuffled(place.at(0))[:4], *shuffled(place.at(4))[:2]]
    assert made["real"][:, 0].tolist() == [each + 1000 for each in chosen]
    assert made["label"].tolist() == [(each + 1) % 3 for each in chosen]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 3]}, "labels run from 0 to 2"),
        ({"labels": [-1, 0]}, "labels run from 0 to 2"),
        ({"labels": [0]}, "2 samples were asked for, but 'label' has 1 examples"),
        ({"inputs": {"latent": torch.zeros(3, 4)}}, "2 samples were asked for, but 'latent' has 3 examples"),
        ({"inputs": {"latent": torch.zeros(2, 5)}}, r"'latent' has the shape \(5,\) and not \(4,\)"),
        ({"inputs": {"nothing": torch.zeros(2)}}, "the game has no tensor 'nothing'"),
    ],
)
def test_what_does_not_fit_the_samples_is_refused(trained: LoadedRun, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        trained.sample(2, **arguments)


def test_no_samples_and_names_that_there_are_not_are_refused(trained: LoadedRun) -> None:
    with pytest.raises(BadInput, match="0 samples cannot be drawn"):
        trained.tensors(0, ("fake",))
    with pytest.raises(BadInput, match="no tensor 'nothing'") as problem:
        trained.tensors(1, ("nothing",))
    assert problem.value.remedy == "It has: real, label, latent, fake, half, dropped, chosen."


def test_the_label_is_the_condition_of_fakes_that_can_be_chosen(trained: LoadedRun) -> None:
    def label_of(*contests: Contest) -> tuple[str, TensorSpec] | None:
        trained.game.contests = contests
        return trained.label_spec()

    plain = Contest("discriminator", real="real", fake="fake", real_condition="label")
    own = Contest("discriminator", real="real", fake="fake", fake_condition="chosen")
    numbers = Contest("discriminator", real="real", fake="fake", fake_condition="real")
    pair = Contest("discriminator", real="real", fake="fake", fake_condition=("real", "label"))
    label = ("label", TensorSpec((), classes=3))
    assert label_of(LABELLED) == label_of(plain, own, numbers, LABELLED) == label_of(plain, pair) == label
    assert label_of(plain, own, numbers) is None
    with pytest.raises(BadInput, match="not conditioned on labels"):
        trained.sample(1, labels=[0])


# Walks.


def test_a_walk_goes_along_the_circle_through_both_ends() -> None:
    start, end = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 4.0], [0.0, 3.0]])
    third = slerp(start, end, 1 / 3)
    # A quarter of a circle: the shares are sin 60 and sin 30 degrees. The second pair lies on one line.
    expected = torch.tensor([[2 * math.sin(math.pi / 3), 4 * math.sin(math.pi / 6)], [0.0, 5 / 3]])
    torch.testing.assert_close(third, expected)
    torch.testing.assert_close(slerp(start, end, 0.0), start)
    torch.testing.assert_close(slerp(start, end, 1.0), end)
    deep = slerp(start.half()[:, None], end.half()[:, None], 0.5)
    assert (deep.shape, deep.dtype) == ((2, 1, 2), torch.float16)


@pytest.mark.parametrize(("labels", "classes"), [(None, [0, 1]), ([2, 0], [2, 0])])
def test_the_rows_of_a_walk_go_from_one_latent_to_another(
    trained: LoadedRun, labels: list[int] | None, classes: list[int]
) -> None:
    made = interpolate(trained, rows=2, steps=3, seed=5, labels=labels)
    ends = latents(Randomness(5).at("sample").at(0), 4)
    assert made.shape == (6, 4)
    for row, label in enumerate(classes):
        start, end = ends[row], ends[2 + row]
        angle = torch.acos(start @ end / start.norm() / end.norm())
        middle = (start + end) * math.sin(angle / 2) / math.sin(angle)
        expected = torch.stack([start, middle, end]) * AVERAGE + 10.0 * label
        torch.testing.assert_close(made[3 * row : 3 * row + 3], expected, rtol=1e-4, atol=1e-4)


def test_a_seed_of_a_walk_is_that_of_all_its_draws(trained: LoadedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "output", "dropped")  # the latent is given, and what is dropped is drawn by the seed
    first, again, other = (interpolate(trained, rows=1, steps=3, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_there_is_no_walk_without_latents(trained: LoadedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "makers", ("fake",))
    with pytest.raises(BadInput, match="no latents to walk between"):
        interpolate(trained, rows=1, steps=2)


# Measurements.


def measured(
    samples: int, *, metrics: int = 1, seed: int = 0, before_round: Any = None
) -> tuple[Any, dict[str, float]]:
    Seen.built.clear()
    evaluation = Evaluation((Seen(samples=samples),) * metrics, Rows(held=False), seed, Rows(are_held=True).build())
    Seen.built.clear()  # one is built to see whether it fits
    results = evaluation.measure(played(), CPU, *([] if before_round is None else [before_round])).results
    return Seen.built, results


@pytest.mark.parametrize(("samples", "sizes"), [(250, [100, 100, 50]), (100, [100]), (101, [100, 1]), (1, [1])])
def test_a_metric_gets_exactly_its_samples(samples: int, sizes: list[int]) -> None:
    rounds: list[int] = []
    (metric,), results = measured(samples, before_round=lambda: rounds.append(1))
    assert [len(each["fake"]) for each in metric.given] == sizes
    assert len(rounds) == len(sizes)
    assert results["by-hand-row/count"] == samples
    assert metric.data == Rows(held=False)


def test_each_round_of_a_measurement_has_data_and_draws_of_its_own() -> None:
    (metric,), _ = measured(250, seed=3)
    place = Randomness(3).at("evaluation")
    assert list(metric.given[0]) == ["real", "fake", "latent", "dropped"]
    assert metric.all("real")[:, 0].tolist() == [each + 1000 for each in shuffled(place)[:250]]
    latent = torch.cat([latents(place.at(number), 100) for number in range(3)])[:250]
    assert torch.equal(metric.all("latent"), latent)
    labels = (metric.all("real") - 1000 + 1) % 3
    assert torch.equal(metric.all("fake"), latent + 10.0 * labels)  # in eval mode
    for number, given in enumerate(metric.given):
        drawn = torch.rand(100, 4, generator=place.at(number).generator("sampling"))
        assert torch.equal(given["dropped"], drawn[: len(given["dropped"])])


def test_a_measurement_leaves_players_and_draws_as_they_were() -> None:
    game = played()
    torch.manual_seed(2)
    expected = torch.rand(2)
    torch.manual_seed(2)
    Evaluation((Seen(samples=1),), Rows(), 0, Rows().build()).measure(game, CPU)
    assert torch.equal(torch.rand(2), expected)
    assert all(player.training for player in game.players.values())


def test_metrics_of_one_type_are_told_apart_and_see_the_same() -> None:
    (first, second, third), results = measured(3, metrics=3)
    assert list(results) == [f"by-hand-row{end}/{key}" for end in ("", "-2", "-3") for key in ("mean", "count")]
    for name in ("fake", "dropped"):
        assert torch.equal(first.all(name), second.all(name))
        assert torch.equal(first.all(name), third.all(name))


def test_two_ranks_make_rounds_in_turn_and_both_are_given_all(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_rank(monkeypatch, 1, 2)
    monkeypatch.setattr("ganframe.evaluation.metrics.gather", lambda own: torch.cat([own * 0, own]))
    rounds: list[int] = []
    (metric,), _ = measured(250, before_round=lambda: rounds.append(1))
    assert [len(each["latent"]) for each in metric.given] == [100, 100, 50]
    assert len(rounds) == 2
    place = Randomness(0).at("evaluation")
    assert torch.equal(metric.given[1]["latent"], latents(place.at(1), 100))  # round 1 is this rank's, 0 the other's
    assert not metric.given[0]["latent"].any() and not metric.given[2]["latent"].any()


class Refuses(Seen):
    type: Literal["by-hand-refuses"] = "by-hand-refuses"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, data: DatasetConfig) -> Any:
        raise BadInput("nothing to measure here")


def test_a_metric_that_refuses_the_data_is_named_at_once() -> None:
    with pytest.raises(BadInput, match="nothing to measure here") as problem:
        Evaluation((Seen(), Refuses()), Rows(), 0, Rows().build())
    assert problem.value.path == ("evaluate", "metrics", 1)


def test_a_trained_run_is_measured_over_held_out_data(folder: Path) -> None:
    Seen.built.clear()
    results = measure_run(folder, ["by-hand-row"], 6, "cpu").results
    metric = Seen.built[-1]
    assert results["by-hand-row/count"] == 2000
    place = Randomness(6).at("evaluation")
    assert metric.given[0]["real"][:, 0].tolist() == [each + 1000 for each in shuffled(place)[:4]]
    labels = (metric.given[0]["real"] - 1000 + 1) % 3
    assert torch.equal(metric.given[0]["fake"], latents(place.at(0), 4) * AVERAGE + 10.0 * labels)
    with pytest.raises(BadInput, match="this run's config has no metrics") as problem:
        measure_run(folder, [], 0, "cpu")
    assert problem.value.place == str(folder)


def test_a_metric_may_read_the_round_itself_and_say_how_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that it computes with the players reach `update`, and what it says of itself comes with the results."""

    def compute(self: Filled) -> dict[str, float]:
        return {"count": float(len(self.all("fake")))}

    def read(self: Filled, game_round: Round) -> dict[str, Tensor]:
        fake = game_round.game.players["generator"](game_round["latent"], game_round["label"])
        return {"fake": game_round["fake"], "again": fake}

    monkeypatch.setattr(Filled, "compute", compute)
    monkeypatch.setattr(Filled, "read", read, raising=False)
    monkeypatch.setattr(Filled, "protocol", lambda _self: {"encoder": "none"}, raising=False)
    monkeypatch.setattr(Filled, "pictures", lambda self: {"fake": self.all("fake")}, raising=False)
    measurement = Evaluation((Seen(samples=7),), Rows(), 0, Rows().build()).measure(played(), CPU)
    metric = Seen.built[-1]
    assert torch.equal(metric.all("again"), metric.all("fake"))
    assert metric.all("again").shape == (7, 4)
    assert measurement.protocols == {"by-hand-row": {"samples": "7", "encoder": "none"}}
    assert torch.equal(measurement.pictures["by-hand-row"]["fake"], metric.all("fake"))


def test_how_a_metric_measured_and_its_picture_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")
    monkeypatch.setattr(Filled, "protocol", lambda _self: {"encoder": "<lenet>"}, raising=False)
    picture = torch.full((1, 1, 3, 3), -1.0)
    monkeypatch.setattr(Filled, "pictures", lambda _self: {"sample": picture, "nearest": -picture}, raising=False)
    folder = train(described(evaluate=Evaluate(metrics=(Seen(samples=7),))), out=tmp_path / "run")
    assert folder.protocols() == {"by-hand-row": {"samples": "7", "encoder": "<lenet>"}}
    assert "samples: 7; encoder: &lt;lenet&gt;" in folder.report.read_text()
    with Image.open(folder.pictures / "000000002-by-hand-row.png") as drawn:
        shades = drawn.convert("L").getcolors()
    assert shades is not None
    assert {shade for _, shade in shades} >= {0, 255}  # both tensors


def test_a_metric_that_is_named_stands_for_those_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")
    train(described(evaluate=Evaluate(metrics=(Seen(samples=7), Seen(samples=8)))), out=tmp_path / "run")
    own = measure_run(tmp_path / "run", [], 0, "cpu").results
    assert (own["by-hand-row/count"], own["by-hand-row-2/count"]) == (7, 8)
    named = measure_run(tmp_path / "run", ["by-hand-row"], 0, "cpu").results
    assert named.keys() == {"by-hand-row/mean", "by-hand-row/count"}
    assert named["by-hand-row/count"] == 2000


def test_a_metric_that_is_named_and_reads_what_the_game_lacks_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Seen, "tensors", lambda _metric: ("nothing",))
    with pytest.raises(BadInput, match="reads the tensor 'nothing'") as problem:
        measure_run(folder, ["by-hand-row"], 0, "cpu")
    assert problem.value.place == "--metric"


def test_a_metric_that_is_named_and_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="nonsense") as problem:
        measure_run(folder, ["nonsense"], 0, "cpu")
    assert problem.value.place == "--metric"


# Findings.


def lines(count: int = 8, **values: float) -> list[dict[str, float]]:
    return [{"step": step, "images": step, **values} for step in range(1, count + 1)]


def titles(real: float, fake: float) -> list[str]:
    found = diagnose(lines(**{"d/judge accuracy on real": real, "d/judge accuracy on fake": fake}))
    return [each.title for each in found]


@pytest.mark.parametrize(
    ("real", "fake", "beginning"),
    [
        (0.992, 0.995, "Saturated discriminator (judge: right on 99% of reals and 100% of fakes at the end)"),
        (0.992, 0.985, None),
        (0.985, 0.992, None),
        (0.19, 0.7, "Discriminator that lost its way (judge: right on 19% of reals and 70% of fakes at the end)"),
        (0.7, 0.19, "Discriminator that lost its way (judge: right on 70% of reals and 19% of fakes at the end)"),
        (0.21, 0.21, None),
    ],
)
def test_a_judge_has_won_or_lost_by_its_worse_side(real: float, fake: float, beginning: str | None) -> None:
    assert titles(real, fake) == ([] if beginning is None else [beginning])


def test_gradients_vanish_below_a_millionth() -> None:
    log = lines(**{"g/gradient norm": 9e-7, "d/gradient norm": 2e-6, "g/gradient": 0.0})
    assert [each.title for each in diagnose(log)] == ["Vanishing gradients (turn g: norm 9.0e-07)"]


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (2 * math.log(2), True),
        (1.36, True),
        (1.41, True),
        (2.0, True),
        (0.5, True),
        (1.35, False),
        (1.42, False),
        (0.693, False),
        (0.0, False),
    ],
)
def test_a_discriminator_that_says_the_same_of_all_from_the_first_line_on(loss: float, found: bool) -> None:
    log = lines(40, **{"d/some": loss, "d/gradient norm": 0.5, "g/other": 0.5})
    for number, line in enumerate(log):
        line["d/weight of some"] = 2.0 + number / 1000  # of a balancer: no loss, although it is as large as one
    for line in log[::20]:
        line |= {"d/judge accuracy on real": 0.5, "d/judge accuracy on fake": 0.5}
    assert [each.title.startswith("Discriminator that learns nothing (d/some: ") for each in diagnose(log)] == (
        [True] if found else []
    )
    log[3]["d/some"] = 1.2  # it once told reals from fakes
    assert diagnose(log) == []
    assert diagnose(log[4:23]) == [], "too few lines"


def test_a_finding_is_of_the_mean_of_the_last_quarter() -> None:
    log = lines(9, **{"g/gradient norm": 1.0})  # of nine lines the last two
    log[7]["g/gradient norm"], log[8]["g/gradient norm"] = 0.0, 1.8e-6
    assert [each.title for each in diagnose(log)] == ["Vanishing gradients (turn g: norm 9.0e-07)"]
    log[7]["g/gradient norm"] = 1e-6
    assert diagnose(log) == []
    assert len(diagnose(lines(1, **{"g/gradient norm": 0.0}))) == 1


# The report.


def run_folder(path: Path, scalars: list[dict[str, float]], metrics: list[dict[str, float]]) -> RunFolder:
    path.mkdir()
    (path / "config.yaml").write_text("summary: <b>bold</b>\n")
    (path / "environment.json").write_text(json.dumps({"ganframe": "<i>1</i>", "plugins": {"<u>": "2", "b": "3"}}))
    for name, log in (("scalars", scalars), ("metrics", metrics)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return RunFolder(path)


def test_nothing_in_a_run_becomes_an_element_of_its_report(tmp_path: Path) -> None:
    name = "<script>x</script>"
    scalars = lines(4, **{f"{name} accuracy on real": 1.0, f"{name} accuracy on fake": 1.0, f"{name}/gradient norm": 0})
    metrics = [{"step": 1, "images": 1, f"m/{name}": 0.5}]
    page = report.write_report(run_folder(tmp_path / "<em>run", scalars, metrics)).read_text()
    for tag in ("<script>", "<b>", "<i>", "<u>", "<em>", "<script"):
        assert tag not in page
    assert "<strong>Saturated discriminator (script&gt;: right on 100% of reals" in page
    assert "(turn &lt;script&gt;x&lt;: norm" in page
    assert "<th>m/&lt;script&gt;x&lt;/script&gt;</th>" in page
    assert "<pre>summary: &lt;b&gt;bold&lt;/b&gt;\n</pre>" in page
    assert "<tr><th>ganframe</th><td>&lt;i&gt;1&lt;/i&gt;</td></tr>" in page
    assert "<tr><th>plugins</th><td>&lt;u&gt; 2, b 3</td></tr>" in page
    assert page.count("&lt;em&gt;run") == 2


def picture(path: Path, side: int = 2, shade: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (side, side), (shade, 0, 0)).save(path)
    return path


def test_a_report_has_its_sections_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda log: f"{len(log)} lines")
    log = [
        {"step": 1, "images": 64, "images per second": 9.0},
        {"step": 1200, "images": 76800, "images per second": 5.6},
    ]
    folder = run_folder(tmp_path / "run", log, [{"step": 5, "images": 320, "m/v": 0.123456}])
    for step in (7, 1200):
        picture(folder.pictures / f"{step:09d}.png", shade=step % 256)
    picture(folder.pictures / "other.png")
    picture(folder.samples)
    page = report.write_report(folder).read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "Samples",
        "Metrics",
        "Diagnostics",
        "Curves",
        "Samples over time",
        "Config",
        "Environment",
    ]
    assert "<p>1,200 steps, 76,800 images, 6 images a second.</p>" in page
    assert "<p>Nothing stands out.</p>" in page
    assert "<tr><th>images</th><th>m/v</th></tr><tr><td>320</td><td>0.1235</td></tr>" in page
    assert "2 lines" in page
    assert re.findall("<figcaption>(.*?)</figcaption>", page) == ["step 7", "step 1,200"]
    assert page.count("<img") == 3


def test_a_report_of_a_run_that_has_made_nothing_yet(tmp_path: Path) -> None:
    page = report.write_report(run_folder(tmp_path / "run", [], [])).read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == ["Config", "Environment"]
    assert "<p>No step was logged yet.</p>" in page


def test_pictures_over_time_are_spread_evenly_from_the_first_to_the_last(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / "p" / f"{step}.png") for step in range(15)]
    page = report._samples_over_time(pictures)
    assert re.findall("step ([0-9]+)<", page) == ["0", "2", "4", "6", "8", "10", "12", "14"]
    assert re.findall("step ([0-9]+)<", report._samples_over_time(pictures[:3])) == ["0", "1", "2"]
    assert report._samples_over_time(pictures[:1]) == ""


def test_a_large_picture_is_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = picture(tmp_path / "small.png", side=40)
    size = small.stat().st_size
    monkeypatch.setattr("ganframe.evaluation.report.MAX_PICTURE_BYTES", size)
    assert "src='data:image/png;base64," in report._image(small, 10)
    monkeypatch.setattr("ganframe.evaluation.report.MAX_PICTURE_BYTES", size - 1)
    (jpeg,) = re.findall("src='data:image/jpeg;base64,(.*?)'", report._image(small, 10))
    with Image.open(io.BytesIO(base64.b64decode(jpeg))) as made:
        assert (made.size, made.format) == ((10, 10), "JPEG")
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="this picture cannot be read"):
        report._image(tmp_path / "no.png", 10)


def test_numbers_of_a_table_are_short() -> None:
    assert [report._number(each) for each in (None, 1234567, 0.000123456, 1234.56)] == [
        "",
        "1,234,567",
        "0.0001235",
        "1235",
    ]


def test_a_table_of_metrics_has_the_names_of_its_last_line() -> None:
    page = report._metrics([{"step": 1, "images": 2, "old/v": 3}, {"step": 2, "images": 4, "new/v": 5}])
    assert page == (
        "<table><tr><th>images</th><th>new/v</th></tr><tr><td>2</td><td></td></tr><tr><td>4</td><td>5</td></tr></table>"
    )
    assert report._metrics([]) == ""


def test_a_long_table_of_metrics_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_ROWS", 2)
    table = report._metrics(lines(5, m=1.5))
    assert table.count("<tr>") == 1 + 2
    assert "<td>5</td>" in table


def test_the_last_picture_is_larger_than_those_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: dict[str, int] = {}
    monkeypatch.setattr(report, "_image", lambda path, side: sides.setdefault(path.name, side) or "")
    monkeypatch.setattr(report, "_curves", lambda _log: "")
    folder = run_folder(tmp_path / "run", lines(2), [])
    for path in (folder.samples, folder.pictures / "1.png", folder.pictures / "2.png"):
        picture(path)
    report.write_report(folder)
    assert sides == {"samples.png": 1000, "1.png": 450, "2.png": 450}


def test_a_report_reads_a_long_log_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(report, "MAX_LINES", 2)
    monkeypatch.setattr(report, "_curves", lambda log: found.extend(log) or "")
    report.write_report(run_folder(tmp_path / "run", lines(4, **{"g/a": 1.0}), []))
    assert [line["step"] for line in found] == [2, 4]


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [(4, 4, [0, 1, 2, 3]), (5, 4, [0, 2, 4]), (6, 4, [1, 3, 5]), (9, 4, [2, 5, 8]), (3, 9, [0, 1, 2]), (0, 4, [])],
)
def test_what_is_thinned_keeps_even_steps_and_the_last(count: int, most: int, kept: list[int]) -> None:
    assert list(report._subsample(list(range(count)), most)) == kept


@pytest.mark.parametrize(
    ("name", "panel"),
    [
        ("d/judge accuracy on real", "d: accuracy"),
        ("d/judge logit gap", "d: logit gap"),
        ("g/gradient norm", "g: gradient norm"),
        ("g/hinge", "g: terms before their weights"),
    ],
)
def test_curves_of_a_kind_share_a_panel(name: str, panel: str) -> None:
    assert report._panel(name) == panel


def test_a_curve_is_called_after_what_it_is_of() -> None:
    assert [report._label(name) for name in ("g/hinge", "g/a/b", "g/_own")] == ["hinge", "a/b", " _own"]


def test_curves_are_of_images_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[tuple[list[float], list[float]]] = []
    called: list[str] = []
    plot, title = Axes.plot, Axes.set_title

    def noted_plot(self: Axes, *values: Any, **how: Any) -> Any:
        drawn.append((list(values[0]), list(values[1])))
        return plot(self, *values, **how)

    def noted_title(self: Axes, label: str, **how: Any) -> Any:
        called.append(label)
        return title(self, label, **how)

    monkeypatch.setattr(Axes, "plot", noted_plot)
    monkeypatch.setattr(Axes, "set_title", noted_title)
    monkeypatch.setattr("ganframe.evaluation.report.MAX_POINTS", 2)
    log = [{"step": step, "images": 10 * step, "images per second": 1, "g/b": step / 2} for step in range(1, 5)]
    log[1]["g/a"] = 7.0
    log[2]["d/x accuracy on real"] = 1.0
    svg = report._curves(log)
    assert svg.startswith("<svg")
    assert drawn == [([30], [1.0]), ([20], [7.0]), ([20, 40], [1.0, 2.0])]
    assert called == ["d: accuracy", "g: terms before their weights"]
    assert report._curves(log[:1]) == ""
    assert report._curves(log) == svg


# Logs.


class Speed:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("ganframe.builtin.jsonl.time.monotonic", lambda: self.now)


class Shown:
    """As much of a run as a log looks at."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        self.images, self.step, self.evaluation_done = 0, 0, True


def step_of(logger: JsonlLogger, run: Any, step: int, **scalars: float) -> None:
    run.step, run.images = step, 4 * step
    logger.on_step_end(run=run, step=step, scalars=scalars)


def test_a_log_has_the_latest_of_each_scalar_at_each_kth_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, run, logger = Speed(monkeypatch), Shown(tmp_path), JsonlLogger(2)
    run.images = 100
    logger.on_run_start(run=run)
    clock.now = 104.0
    for step, scalars in enumerate([{"a": 1.0, "b": 2.0}, {"a": 1.2345678}, {"b": 3.0}, {"a": 4.0}], start=1):
        run.images = 100 + 4 * step
        logger.on_step_end(run=run, step=step, scalars=scalars)
    assert read_log(run.folder.scalars) == [
        {"step": 2, "images": 108, "images per second": 2.0, "a": 1.2346, "b": 2.0},
        {"step": 4, "images": 116, "images per second": 4.0, "b": 3.0, "a": 4.0},
    ]
    logger.on_evaluation(run=run, step=4, results={"m/v": 0.123456789})
    assert read_log(run.folder.metrics) == [{"step": 4, "images": 116, "m/v": 0.123456789}]
    logger.on_run_end()


@pytest.mark.parametrize(("looked", "measured"), [(True, [1, 2]), (False, [1])])
def test_what_a_log_has_past_a_checkpoint_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: bool, measured: list[int]
) -> None:
    """Where the measurement of the checkpoint's own step is to be made again, its line is dropped too."""
    Speed(monkeypatch)
    run, logger = Shown(tmp_path), JsonlLogger(1)
    logger.on_run_start(run=run)
    for step in (1, 2, 3):
        step_of(logger, run, step, a=1.0)
        logger.on_evaluation(run=run, step=step, results={"v": 1.0})
    run.step, run.evaluation_done = 2, looked
    logger.on_checkpoint_load(run=run, state={})
    assert [line["step"] for line in read_log(run.folder.scalars)] == [1, 2]
    assert [line["step"] for line in read_log(run.folder.metrics)] == measured
    step_of(logger, run, 3, a=2.0)
    assert [line["a"] for line in read_log(run.folder.scalars)] == [1.0, 1.0, 2.0]
    logger.on_run_end()


def test_a_log_that_is_opened_again_begins_after_the_runs_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Speed(monkeypatch)
    run, first_two = Shown(tmp_path), '{"step": 1, "images": 4}\n{"step": 2, "images": 8}\n'
    for step, torn in ((2, '{"step": 3, "images": 12}\n'), (9, '{"step": 3, "ima')):
        run.folder.scalars.write_text(first_two + torn)
        run.step = step
        again = JsonlLogger(1)
        again.on_run_start(run=run)
        again.on_run_end()
        assert run.folder.scalars.read_text() == first_two


def test_what_was_not_written_yet_is_saved_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Speed(monkeypatch)
    run, logger, state = Shown(tmp_path), JsonlLogger(3), dict[str, Any]()
    logger.on_run_start(run=run)
    step_of(logger, run, 1, lazy=5.0)
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    logger.on_checkpoint_save(state=state)
    assert state == {"jsonl": {"lazy": 5.0}}
    assert synced == []
    other = JsonlLogger(3)
    other.on_run_start(run=run)
    step_of(other, run, 1, gone=1.0)
    other.on_checkpoint_load(run=run, state=state)
    step_of(other, run, 3, a=1.0)
    other.on_evaluation(run=run, step=3, results={"v": 1.0})
    (line,) = read_log(run.folder.scalars)
    assert {name: line[name] for name in line if name not in ("step", "images", "images per second")} == {
        "lazy": 5.0,
        "a": 1.0,
    }
    other.on_checkpoint_save(state=state)
    assert len(synced) == 2
    assert state == {"jsonl": {}}
    other.on_run_end()
    assert all(
        log is not None and log._file is not None and log._file.closed for log in (other._scalars, other._metrics)
    )


def test_a_disk_that_is_nearly_full_has_a_line_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr("ganframe.runs.logs.FileIO", Slow)
    log = Log(tmp_path / "log.jsonl")
    for step in (1, 2):
        log.append({"step": step, "images": 4})
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "images": 4}\n{"step": 2, "images": 4}\n'


def written(path: Path, count: int) -> Path:
    file = path / "log.jsonl"
    rows = [{"step": step, "images": 10 * step, "v": float(step)} for step in range(1, count + 1)]
    rows[0]["once"] = 9.0
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_long_log_is_read_as_means_of_neighbours(tmp_path: Path) -> None:
    file = written(tmp_path, 5)
    assert [line["v"] for line in read_log(file, 5)] == [1, 2, 3, 4, 5]
    assert read_log(file, 4) == [
        {"step": 2, "images": 20, "v": 1.5, "once": 9.0},
        {"step": 4, "images": 40, "v": 3.5},
        {"step": 5, "images": 50, "v": 5.0},
    ]
    assert [line["v"] for line in read_log(file)] == [1, 2, 3, 4, 5]
    assert read_log(tmp_path / "none.jsonl", 4) == []


def test_a_line_that_is_still_written_is_left_out_and_one_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, 2)
    with file.open("a") as more:
        more.write('{"step": 3, "im')
    assert [line["step"] for line in read_log(file)] == [1, 2]
    for wrong in ('{"step": 3}', '{"step": 3, "images": "4"}', "[]"):
        file.write_text('{"step": 1, "images": 1}\n' + wrong + "\n")
        with pytest.raises(BadInput, match="not what a run writes") as problem:
            read_log(file)
        assert problem.value.place == f"{file}:2"


def test_the_largest_numbers_are_cut_off_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1, "images": 1, "high": 1e200, "low": -1e200, "v": 1e99}\n')
    assert read_log(file) == [{"step": 1, "images": 1, "high": 1e100, "low": -1e100, "v": 1e99}]


def test_a_run_logs_its_steps(folder: Path) -> None:
    log = read_log(folder / "scalars.jsonl")
    assert [(line["step"], line["images"]) for line in log] == [(1, 4), (2, 8)]
    assert [line["generator/by-hand-row"] for line in log] == [0.0, -1.0]
    assert [line["generator/gradient norm"] for line in log] == [1.0, 1.0]
