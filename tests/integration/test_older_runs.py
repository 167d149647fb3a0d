"""A run that version 0.1.0 made loads, samples and resumes: its weights and samples are those of that version.

`run_of_0_1_0/run` was broken off after step 22 of 40, with its last checkpoint at step 20; `expected.safetensors` holds
what version 0.1.0 itself made of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ganframe import load, load_config, train
from ganframe.runs.checkpoint_files import list_checkpoints

FOLDER = Path(__file__).resolve().parent / "run_of_0_1_0"


@pytest.fixture
def expected() -> dict[str, Tensor]:
    return load_file(FOLDER / "expected.safetensors")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / "run", tmp_path / "run"))


def assert_same(found: Tensor, expected: Tensor) -> None:
    """Compare up to what other CPUs round otherwise."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_run_of_0_1_0_samples_as_it_did(run: Path, expected: dict[str, Tensor]) -> None:
    assert_same(load(run, device="cpu").sample(8, seed=1), expected["samples"])


def test_a_run_of_0_1_0_resumes_and_ends_as_it_did(run: Path, expected: dict[str, Tensor]) -> None:
    train(load_config(str(run / "config.yaml")), out=run, resume=True)
    assert [int(path.name) for path in list_checkpoints(run / "checkpoints")] == [40]
    loaded = load(run, device="cpu")
    assert_same(loaded.sample(8, seed=1), expected["samples_after_resume"])
    found = {
        f"{name}.{key}": each for name, player in loaded.players.items() for key, each in player.state_dict().items()
    }
    assert found.keys() == expected.keys() - {"samples", "samples_after_resume"}
    for name, each in found.items():
        assert_same(each, expected[name])
