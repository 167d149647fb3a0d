"""A run that was stopped and resumed ends as one that was not: weights, optimizers, averages and log, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganframe import RunFailed, hookimpl, load_config, train
from ganframe.runs.checkpoint_files import list_checkpoints, load

STEPS = 12

CONFIG = """
game:
  type: adversarial
  generator: {type: dcgan, channels: 4, latent: 8}
  discriminator: {type: dcgan, channels: 4}
  condition: label
  discriminator_steps: 2
losses:
  - {type: non-saturating, labels: [{type: label-flipping, probability: 0.2}]}
regularizers:
  - {type: r1, weight: {type: cosine, start: 0.1, end: 0.01}, every: 3}
data: digits
optimizers:
  discriminator: {type: adam, lr: {type: linear, start: 1.0e-3, end: 0}}
augmentations: [{type: instance-noise, sigma: 0.1}]
train: {images: 192, batch_size: 8, channels_last: true, ema: {half_life_images: 100}, device: cpu}
checkpoint: {every_images: 32}
snapshot: {every_images: 96, count: 4}
"""


class StopAfter:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        if step == self.step:
            raise RunFailed("pulled the plug")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    train(load_config(str(config)), out=out)
    return out


def flat(tree: object, key: str = "") -> dict[str, object]:
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in flat(value, f"{key}/{part}").items()}
    return {key: tree}


def assert_same_state(first: Path, second: Path) -> None:
    step, mine = load(list_checkpoints(first / "checkpoints")[0])
    other_step, theirs = load(list_checkpoints(second / "checkpoints")[0])
    assert step == other_step == STEPS
    mine, theirs = flat(mine), flat(theirs)
    assert mine.keys() == theirs.keys()
    assert {key.split("/")[1] for key in mine} >= {"player.generator", "player.discriminator", "optimizers", "averages"}
    for key, value in mine.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, theirs[key]), key
        else:
            assert value == theirs[key], key


def scalars(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images per second"} for line in lines]


@pytest.mark.parametrize("stop", [1, 3, 5, 8, 11])
def test_resumed_is_bit_identical(config: Path, whole: Path, tmp_path: Path, stop: int) -> None:
    out = tmp_path / "run"
    with pytest.raises(RunFailed, match="pulled the plug"):
        train(load_config(str(config)), out=out, hooks=[StopAfter(stop)])
    assert list_checkpoints(out / "checkpoints") == [] or int(list_checkpoints(out / "checkpoints")[0].name) < STEPS
    train(load_config(str(config)), out=out, resume=True)
    assert_same_state(whole, out)
    assert scalars(out) == scalars(whole)


def test_same_seed_same_run_other_seed_another(config: Path, whole: Path, tmp_path: Path) -> None:
    train(load_config(str(config)), out=tmp_path / "again")
    assert_same_state(whole, tmp_path / "again")
    train(load_config(str(config), "seed=1"), out=tmp_path / "other")
    _, mine = load(list_checkpoints(whole / "checkpoints")[0])
    _, theirs = load(list_checkpoints(tmp_path / "other" / "checkpoints")[0])
    mine, theirs = flat(mine["player.generator"]), flat(theirs["player.generator"])
    assert not all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_workers_do_not_change_the_run(config: Path, whole: Path, tmp_path: Path) -> None:
    train(load_config(str(config), "train.workers=2"), out=tmp_path / "run")
    assert_same_state(whole, tmp_path / "run")
