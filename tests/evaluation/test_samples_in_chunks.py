"""Pictures, metrics and samples are drawn in chunks of the batch size, and samples are written as they are drawn."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory import measured
from PIL import Image
from torch import Tensor

from ganframe import Experiment, Run, RunFailed, hookimpl, load, train
from ganframe.evaluation.metrics import measure_run
from ganframe.evaluation.sample_files import save_arrays, save_samples


class Sizes:
    """Notes how many samples each forward pass of the generator makes outside training."""

    def __init__(self) -> None:
        self.sizes = list[int]()

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        run.assembly.game.players["generator"].register_forward_hook(self._note)

    def _note(self, player: torch.nn.Module, _inputs: Any, output: Tensor) -> None:
        if not player.training:
            self.sizes.append(len(output))


def experiment(**settings: Any) -> Experiment:
    mlp = {"type": "mlp", "hidden": [4]}
    return Experiment(
        game={"type": "adversarial", "generator": mlp, "discriminator": mlp},
        losses=["non-saturating"],
        data="ring",
        train={"total_images": 8, "batch_size": 8, "device": "cpu"},
        loggers=[],
        **settings,
    )


def test_a_picture_is_drawn_in_chunks_of_the_batch_size(tmp_path: Path) -> None:
    watch = Sizes()
    train(experiment(snapshot={"count": 20}), out=tmp_path / "run", hooks=[watch])
    assert watch.sizes == [8, 8, 4]


def test_metrics_are_measured_in_chunks_of_the_batch_size(tmp_path: Path) -> None:
    watch = Sizes()
    measured = experiment(snapshot={"count": 1}, evaluate={"metrics": [{"type": "mode-coverage", "samples": 100}]})
    train(measured, out=tmp_path / "run", hooks=[watch])
    assert watch.sizes == [1, *[8] * 13]
    first, second = (measure_run(tmp_path / "run", [], seed, "cpu").results for seed in (0, 1))
    assert first.keys() == second.keys()


def test_samples_are_drawn_in_chunks_of_the_batch_size(digits_run: Path) -> None:
    loaded = load(digits_run, device="cpu")
    sizes = list[int]()
    loaded.players["generator"].register_forward_hook(lambda _player, _inputs, output: sizes.append(len(output)))
    made = loaded.sample(40)
    assert sizes == [16, 16, 8]
    assert torch.equal(made, loaded.sample(40, batch_size=16))


def counted(batches: Iterator[dict[str, Tensor]], most: list[int]) -> Iterator[Tensor]:
    """Yield the samples of batches, and note how many batches are in memory at once."""
    alive = weakref.WeakSet[Tensor]()
    for batch in batches:
        (samples,) = batch.values()
        alive.add(samples)
        most[0] = max(most[0], len(alive))
        del batch
        yield samples


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_samples_are_written_as_they_are_drawn(kind: str, digits_run: Path, tmp_path: Path) -> None:
    loaded, most = load(digits_run, device="cpu"), [0]
    labels = [index % 10 for index in range(100)]
    batches = counted(loaded.batches(100, ("fake",), seed=3, labels=labels, batch_size=10), most)
    whole = loaded.sample(100, seed=3, batch_size=10)
    if kind == "file":
        save_arrays(batches, 100, tmp_path / "all.npz", labels)
        with np.load(tmp_path / "all.npz") as arrays:
            assert np.array_equal(arrays["samples"], whole.numpy())
            assert arrays["labels"].tolist() == labels
    else:
        save_samples(batches, tmp_path / "new", labels=labels, label_spec=loaded.game.data["label"])
        for index in (0, 57, 99):
            pixels = np.asarray(Image.open(tmp_path / "new" / str(index % 10) / f"{index:06d}.png"))
            assert np.abs(pixels - (whole[index, 0].numpy() + 1) * 127.5).max() <= 0.51
    assert most[0] <= 2


def test_a_file_that_cannot_be_finished_is_not_left(tmp_path: Path) -> None:
    def full() -> Iterator[Tensor]:
        yield torch.zeros(2, 3)
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFailed, match=r"all\.npz: cannot be written: No space left on device"):
        save_arrays(full(), 4, tmp_path / "all.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_too_many_samples_is_refused(
    cli: Any, digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganframe.cli.samples.MAX_PICTURE_VALUES", 30 * 784)
    assert cli("sample", digits_run, "--count", 30, "--out", tmp_path / "few.png").code == 0
    outcome = cli("sample", digits_run, "--count", 31, "--out", tmp_path / "many.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--count: 31 samples are too many for a picture" in outcome.err
    assert not (tmp_path / "many.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all.npz", "folder"])
def test_a_hundred_thousand_samples_take_no_more_memory_than_a_thousand(
    name: str, digits_run: Path, tmp_path: Path
) -> None:
    peaks = list[float]()
    for count in (1000, 100_000):
        target = tmp_path / f"{count}-{name}"
        command = [sys.executable, "-m", "ganframe", "sample", str(digits_run), f"--count={count}", f"--out={target}"]
        code, errors, peak = measured(command)
        assert code == 0, errors
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60  # MiB; the samples are 300 MiB
