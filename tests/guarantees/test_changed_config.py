"""A run is resumed with its own config alone; one that differs is refused with the settings that differ, or taken where
each of them was named, and what cannot fit even then ends with one sentence and leaves the run as it was.

Resumes under changed lengths, averages, learning rates, terms, networks, games and optimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from figures import Figures
from ganframe_mlp.networks import Generator as MlpGenerator
from harness import PLAIN, flat, latest_state, scalars

from ganframe import BadInput, hookimpl, load_config, train
from ganframe.config.experiment import Experiment
from ganframe.data.tensor_data import TensorData
from ganframe.randomness import Randomness
from ganframe.training.run_state import Run


@pytest.fixture(autouse=True)
def _reports_have_no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than such a run."""
    monkeypatch.setattr("ganframe.evaluation.report._curves", lambda _log: "")


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Experiment]:
    path = tmp_path / "config.yaml"
    path.write_text(PLAIN)
    return lambda *overrides: load_config(str(path), "train.total_images=32", "evaluate=null", *overrides)


@pytest.fixture
def run(configured: Callable[..., Experiment], tmp_path: Path) -> Path:
    """A run of four steps."""
    return train(configured(), out=tmp_path / "run").path


def files(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def test_a_changed_config_is_refused_unless_each_change_is_named(
    configured: Callable[..., Experiment], run: Path
) -> None:
    longer = configured("train.total_images=64", "train.ema.half_life_images=50")
    before = files(run)
    with pytest.raises(BadInput, match=r"of the run in: train.ema.half_life_images, train.total_images"):
        train(longer, out=run, resume=True)
    with pytest.raises(BadInput, match=r"in: train.ema.half_life_images\n.*--allow-changes train.ema.half_life_images"):
        train(longer, out=run, resume=True, allow_changes=["train.total_images"])
    assert files(run) == before
    train(longer, out=run, resume=True, allow_changes=["train.total_images", "train.ema"])
    assert latest_state(run)[0] == 8
    assert (run / "config-before-1.yaml").read_bytes() == before[run / "config.yaml"]
    assert "total_images: 64" in (run / "config.yaml").read_text()
    train(longer, out=run, resume=True)
    assert not (run / "config-before-2.yaml").exists()


def test_a_change_is_not_allowed_by_the_beginning_of_its_name(configured: Callable[..., Experiment], run: Path) -> None:
    with pytest.raises(BadInput, match=r"in: train.total_images"):
        train(configured("train.total_images=64"), out=run, resume=True, allow_changes=["train.im", "tr"])


CYCLE = "{type: cycle, generator: {type: resnet, channels: 2, blocks: 1}, discriminator: {type: patchgan, channels: 2}}"


class Rates:
    """Notes the learning rates with which each step is taken."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    @hookimpl
    def on_step_end(self, run: Run) -> None:
        """Note them."""
        self.seen.append({turn: each.param_groups[0]["lr"] for turn, each in run.optimizers.items()})


def test_an_optimizer_goes_on_with_its_new_settings_and_its_old_state(
    configured: Callable[..., Experiment], run: Path
) -> None:
    """The settings stay, too, where the run is stopped again before its next checkpoint."""
    rates, settings = Rates(), ("train.total_images=64", "optimizers={generator: {type: adam, lr: 0.5}}")
    before = flat(latest_state(run)[1]["optimizers"]["generator"])
    changes = ["train.total_images", "optimizers"]

    class Stops:
        @hookimpl
        def on_run_start(self, run: Run) -> None:
            """Compare and stop."""
            mine = flat(run.optimizers["generator"].state_dict()["state"])
            assert all(torch.equal(each, before[f"/state{key}"]) for key, each in mine.items())
            assert len(mine) > 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(configured(*settings), out=run, resume=True, allow_changes=changes, hooks=[Stops()])
    train(configured(*settings), out=run, resume=True, hooks=[rates])
    assert rates.seen == [{"discriminator": 2e-4, "generator": 0.5}] * 4


def test_settings_of_a_group_are_changed_only_where_that_is_allowed(
    configured: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(self: Any) -> dict[str, Any]:
        return {"first": self.layers[0].parameters()}

    monkeypatch.setattr(MlpGenerator, "parameter_groups", groups, raising=False)
    group = "optimizers.generator.groups.first"
    before = configured("optimizers={generator: {type: adam, clip_gradient_norm: 1, groups: {first: {lr: 0.25}}}}")
    out = train(before, out=tmp_path / "grouped").path
    settings = f"{group}.lr=0.5", "optimizers.generator.clip_gradient_norm=1", "train.total_images=64"
    changed = configured("optimizers={generator: adam}", *settings)
    with pytest.raises(BadInput, match=rf"in: {group}.lr, train.total_images\n"):
        train(changed, out=out, resume=True)
    seen: list[list[float]] = []

    class Looks:
        @hookimpl
        def on_step_end(self, run: Run) -> None:
            """Note the rates."""
            seen.append([each["lr"] for each in run.optimizers["generator"].param_groups])

    train(changed, out=out, resume=True, allow_changes=["train.total_images", group], hooks=[Looks()])
    assert seen == [[2e-4, 0.5]] * 4


def test_an_optimizer_keeps_what_a_hook_has_set(configured: Callable[..., Experiment], tmp_path: Path) -> None:
    class Slower:
        @hookimpl
        def on_step_end(self, run: Run, step: int) -> None:
            """Slow down once."""
            if step == 2:
                run.optimizers["generator"].param_groups[0]["lr"] = 1e-5

    out, rates = tmp_path / "slower", Rates()
    train(configured(), out=out, hooks=[Slower()])
    longer = configured("train.total_images=64")
    train(longer, out=out, resume=True, allow_changes=["train.total_images"], hooks=[rates])
    assert rates.seen == [{"discriminator": 2e-4, "generator": 1e-5}] * 4


@pytest.mark.parametrize(("batch_size", "skipped"), [(4, 0), (16, 0), (12, 4)])
def test_data_go_on_where_they_were_with_batches_of_another_size(
    batch_size: int,
    skipped: int,
    configured: Callable[..., Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[int] = []
    fetch = TensorData.fetch

    def noted(data: TensorData, indices: Sequence[int], randomness: Randomness) -> dict[str, torch.Tensor]:
        fetched.extend(indices)
        return fetch(data, indices, randomness)

    monkeypatch.setattr(TensorData, "fetch", noted)
    train(configured("train.total_images=96"), out=tmp_path / "whole")
    expected, fetched[:] = fetched[:], []
    train(configured(), out=tmp_path / "changed")
    changed = configured("train.total_images=80", f"train.batch_size={batch_size}")
    train(changed, out=tmp_path / "changed", resume=True, allow_changes=["train"])
    assert fetched == expected[:32] + expected[32 + skipped : len(fetched) + skipped]
    assert len(fetched) >= 80


def test_a_term_that_is_new_begins_without_a_past(
    configured: Callable[..., Experiment], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = configured("train.total_images=64", "regularizers=[{type: r1, every: 3}, {type: lecam}]")
    capsys.readouterr()
    train(more, out=run, resume=True, allow_changes=["train.total_images", "regularizers"])
    assert capsys.readouterr().err == "no saved state; initialised fresh: term lecam\n"
    assert "discriminator/lecam" in scalars(run)[-1]


@pytest.mark.parametrize(
    ("change", "allowed", "said"),
    [
        ("game.generator.hidden=[17]", "game", r"player generator: size mismatch for "),
        ("game.generator.hidden=[16,16]", "game", r"player generator: Missing key"),
        ("game.discriminator.hidden=[8]", "game", r"player discriminator: size mismatch for "),
        (f"game={CYCLE}", "game", "player g_ab: the run did not have it"),
        (
            "optimizers={generator: {type: sgd}}",
            "optimizers",
            "optimizer generator: the run had 'adam', and this is 'sgd'",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_with_one_sentence(
    change: str, allowed: str, said: str, configured: Callable[..., Experiment], run: Path, figures: Figures
) -> None:
    other = ("regularizers=[]", "data={type: fluent-emoji, paired: false}") if CYCLE in change else ()
    before = files(run)
    changes = [allowed, "regularizers", "data"]
    with pytest.raises(BadInput, match=f"the saved state does not fit this config: ({said})") as problem:
        train(configured(change, *other), out=run, resume=True, allow_changes=changes)
    assert str(problem.value).endswith("\n  Start a new run with another --out.")
    assert len(str(problem.value).splitlines()) == 2
    assert files(run) == before
    train(configured(), out=run, resume=True)
    figures.count("changes refused although they were allowed")


def test_averages_that_the_run_did_not_have_are_refused(configured: Callable[..., Experiment], tmp_path: Path) -> None:
    out = train(configured("train.ema=null"), out=tmp_path / "plain").path
    with pytest.raises(BadInput, match="does not fit this config: averages: the run did not have it"):
        train(configured(), out=out, resume=True, allow_changes=["train.ema"])


def test_the_command_line_says_the_same(cli: Callable[..., object], run: Path, tmp_path: Path) -> None:
    start = ("train", run, "--resume", "--set", "game.generator.hidden=[17]")
    refused = cli(*start)
    assert refused.code == 2
    assert "differs from that of the run in: game.generator.hidden" in refused.err
    refused = cli(*start, "--allow-changes", "game.generator.hidden")
    assert refused.code == 2
    assert refused.err.startswith("error: the saved state does not fit this config: player generator: size mis")
    assert "Traceback" not in refused.err
