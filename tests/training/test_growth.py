"""A pair of networks that grows from 2 x 2 to 8 x 8 pixels: sizes, fading, optimizers, averages, exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import growing_pair
import pytest
import torch
from growing_pair import SIDE, Images, PairConfig
from pydantic import ValidationError
from torch import Tensor

from ganframe import BadInput, Experiment, RunFailed, hookimpl, load, train
from ganframe.builtin.optimizers import Adam
from ganframe.config.growth import Growth
from ganframe.evaluation.callbacks import Measure
from ganframe.game.round import Round
from ganframe.game.turn import Turn
from ganframe.runs.checkpoint_files import list_checkpoints
from ganframe.runs.checkpoint_files import load as load_checkpoint
from ganframe.training.assembly import assemble
from ganframe.training.run_state import Run


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    growing_pair.register()
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")


STAGES = [
    {"from_images": 0, "downscale": 4, "batch_size": 8},
    {"from_images": 16, "downscale": 2, "fade_images": 8},
    {"from_images": 32, "downscale": 1, "fade_images": 8, "batch_size": 2},
]


def experiment(**changes: Any) -> Experiment:
    settings: dict[str, Any] = {
        "game": PairConfig(),
        "losses": ["non-saturating"],
        "data": Images(),
        "growth": {"stages": STAGES},
        "train": {"total_images": 40, "batch_size": 4, "device": "cpu", "ema": {"half_life_images": 8}},
        "snapshot": {"count": 4, "every_images": 8},
        "checkpoint": {"every_images": 8, "keep": 100},
    }
    train = changes.pop("train", {})
    return Experiment(**settings | changes | {"train": settings["train"] | train})


class Watch:
    """Notes, at the end of each step and turn, what trains and on what."""

    def __init__(self) -> None:
        self.sizes = list[tuple[int, ...]]()
        self.images = list[int]()
        self.fades = list[float]()
        self.reals = list[tuple[float, Tensor, Tensor]]()
        self.moments = list[set[str]]()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: list[Round]) -> None:
        if turn.name == "discriminator":
            self.sizes.append(tuple(rounds[0]["real"].shape))
            self.fades.append(run.game.players["generator"].fade)  # pyright: ignore[reportArgumentType]
            self.reals.append((self.fades[-1], rounds[0]["real"], rounds[0]["index"]))

    @hookimpl
    def on_step_end(self, run: Run) -> None:
        self.images.append(run.images)
        optimizer: Any = run.optimizers["generator"]
        names = {parameter: name for name, parameter in run.game.players["generator"].named_parameters()}
        self.moments.append({names[parameter] for parameter in optimizer.state})


def stop_at(step: int) -> object:
    class Stop:
        @hookimpl
        def on_step_end(self, run: Run) -> None:
            if run.step == step:
                raise KeyboardInterrupt

    return Stop()


def weights(run: Path) -> dict[str, Tensor]:
    """Every tensor of the last checkpoint, by section and name."""
    _, sections = load_checkpoint(list_checkpoints(run / "checkpoints")[0])
    found: dict[str, Tensor] = {}

    def walk(tree: Any, place: str) -> None:
        if isinstance(tree, Tensor):
            found[place] = tree
        elif isinstance(tree, dict):
            for name, child in tree.items():
                walk(child, f"{place}/{name}")

    walk(sections, "")
    return found


def test_images_batches_and_networks_follow_the_stages(tmp_path: Path) -> None:
    watch = Watch()
    train(experiment(), out=tmp_path / "run", hooks=[watch])
    assert watch.images == [8, 16, 20, 24, 28, 32, 34, 36, 38, 40]
    assert watch.sizes == [(8, 1, 2, 2)] * 2 + [(4, 1, 4, 4)] * 4 + [(2, 1, 8, 8)] * 4
    assert watch.fades == [1, 1, 0, 0.5, 1, 1, 0, 0.25, 0.5, 0.75]
    names = weights(tmp_path / "run")
    assert names["/player.generator/blocks.1.weight"].shape == (1, 1, 3, 3)
    assert names["/averages/generator.module.blocks.1.weight"].shape == (1, 1, 3, 3)


def test_real_images_are_smaller_and_fade_in_like_the_layers(tmp_path: Path) -> None:
    watch = Watch()
    train(experiment(), out=tmp_path / "run", hooks=[watch])
    full = Images().build().tensors["real"]
    for fade, real, index in watch.reals:
        images = full[index.flatten().long()]
        downscale = SIDE // real.shape[-1]
        # The mean of each square of pixels, and of each square twice as large, worked out without pooling.
        small = images.unfold(2, downscale, downscale).unfold(3, downscale, downscale).mean((-1, -2))
        coarse = images.unfold(2, 2 * downscale, 2 * downscale).unfold(3, 2 * downscale, 2 * downscale).mean((-1, -2))
        coarse = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(real, fade * small + (1 - fade) * coarse if fade < 1 else small)


@pytest.mark.parametrize("reset", [False, True])
def test_new_parameters_join_the_optimizer_and_old_ones_keep_their_state(tmp_path: Path, reset: bool) -> None:
    watch = Watch()
    growth = {"stages": STAGES, "reset_optimizers": reset}
    run = train(experiment(growth=growth), out=tmp_path / "run", hooks=[watch])
    first, second, third = watch.moments[1], watch.moments[2], watch.moments[-1]
    assert first == {"first.weight", "first.bias"}
    assert second == first | {"blocks.0.weight", "blocks.0.bias"}
    assert third == second | {"blocks.1.weight", "blocks.1.bias"}
    states = weights(run.path)
    steps = {name: int(value) for name, value in states.items() if "optimizers/generator" in name and "/step" in name}
    assert sorted(steps.values()) == ([4] * 6 if reset else [4, 4, 8, 8, 10, 10])


@pytest.mark.parametrize("step", [1, 2, 3, 5, 6, 7, 9])
def test_a_run_resumes_bit_for_bit_before_during_and_after_growth(tmp_path: Path, step: int) -> None:
    every = experiment(checkpoint={"every_images": 1, "keep": 100})
    whole = train(every, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(every, out=tmp_path / "broken", hooks=[stop_at(step)])
    train(every, out=tmp_path / "broken", resume=True)
    expected, found = weights(whole.path), weights(tmp_path / "broken")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_loaded_run_has_the_size_and_the_fade_of_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(experiment(checkpoint={"every_images": 1}), out=tmp_path / "run", hooks=[stop_at(5)])
    loaded = load(tmp_path / "run", device="cpu")
    assert loaded.step == 4
    assert loaded.sample(3).shape == (3, 1, 4, 4)
    assert loaded.players["generator"].fade == 1
    train(experiment(checkpoint={"every_images": 1}), out=tmp_path / "run", resume=True)
    assert load(tmp_path / "run", device="cpu").sample(3).shape == (3, 1, 8, 8)


def test_averages_of_new_layers_begin_with_their_first_weights(tmp_path: Path) -> None:
    found: list[bool] = []

    class Compare:
        @hookimpl
        def on_checkpoint_save(self, run: Run, state: dict[str, object]) -> None:
            if run.images == 16:  # just grown
                assert run.averages is not None
                live, average = run.game.players["generator"], run.averages.players["generator"]
                found.append(torch.equal(live.blocks[0].weight, average.blocks[0].weight))  # pyright: ignore

    train(experiment(), out=tmp_path / "run", hooks=[Compare()])
    assert found == [True]


def test_the_layers_of_each_stage_are_drawn_anew() -> None:
    assembly = assemble(experiment())
    for images in (16, 32):
        assembly.growing.apply(images)
    for player in assembly.game.players.values():
        first, second = player.blocks[-2:]  # pyright: ignore[reportIndexIssue]
        assert not torch.equal(first.weight, second.weight)


def test_no_metric_is_measured_before_players_reach_the_resolution_of_the_data(tmp_path: Path) -> None:
    measure, due = Measure(cast(Any, None), every_images=1), dict[int, bool]()

    class Note:
        @hookimpl
        def on_checkpoint_save(self, run: Run, state: dict[str, object]) -> None:
            due[run.images] = measure.is_due(run, run.images - 1)

    train(experiment(), out=tmp_path / "run", hooks=[Note()])
    assert due == {8: False, 16: False, 24: False, 32: True, 40: True}  # the last stage begins at 32


def test_growth_is_deterministic_and_of_the_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        torch.manual_seed(len(name))
        train(experiment(seed=seed), out=tmp_path / name)
    key = "/player.generator/blocks.1.weight"
    one, two, three = (weights(tmp_path / name)[key] for name in ("one", "two", "three"))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"from_images": 1, "downscale": 2}, {"from_images": 2, "downscale": 1}], "must start at 0"),
        ([{"downscale": 2}, {"from_images": 0, "downscale": 1}], "must start at 0 and rise"),
        ([{"downscale": 4}, {"from_images": 2, "downscale": 2}], "must fall to 1"),
        ([{"downscale": 3}, {"from_images": 2, "downscale": 2}, {"from_images": 3, "downscale": 1}], "no multiple"),
        ([{"downscale": 1}], "at least 2"),
    ],
)
def test_stages_out_of_order_are_refused(stages: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Growth(stages=stages)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"game": {"type": "adversarial", "generator": "mlp", "discriminator": "mlp"}}, ("growth",), "cannot grow"),
        ({"data": Images(side=6)}, ("growth", "stages", 0, "downscale"), "cannot be 4 times smaller"),
        ({"train": {"total_images": 32}}, ("growth", "stages", 2, "from_images"), "the run ends at 32"),
        ({"train": {"compile": True}}, ("train", "compile"), "go together with growth"),
        ({"freeze": ["generator"]}, ("freeze",), "go together with growth"),
    ],
)
def test_what_does_not_go_with_growth_is_refused(
    tmp_path: Path, changes: dict[str, Any], path: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(BadInput, match=message) as problem:
        train(experiment(**changes), out=tmp_path / "run")
    assert problem.value.path == path
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_back_to_a_smaller_size(tmp_path: Path) -> None:
    class Back:
        @hookimpl
        def on_step_end(self, run: Run) -> None:
            if run.images == 20:
                run.assembly.growing.apply(8)

    with pytest.raises(RunFailed, match="cannot shrink"):
        train(experiment(), out=tmp_path / "run", hooks=[Back()])


def test_the_learning_rate_follows_a_schedule_over_growth(tmp_path: Path) -> None:
    rates: list[float] = []

    class Rates:
        @hookimpl
        def on_turn_end(self, run: Run, turn: Turn) -> None:
            if turn.name == "generator":
                rates.append(run.optimizers["generator"].param_groups[0]["lr"])

    steps = {"type": "piecewise", "steps": [{"after_images": 0, "value": 0.1}, {"after_images": 16, "value": 0.2}]}
    optimizer = Adam.model_validate({"type": "adam", "lr": steps})
    train(experiment(optimizers={"generator": optimizer}), out=tmp_path / "run", hooks=[Rates()])
    assert rates == [0.1] * 2 + [0.2] * 8
