"""What a run promises when it is stopped from outside: signals, and kills at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganframe import BadInput, load_config, train
from ganframe.checkpoint import complete, load
from ganframe.errors import Terminated
from ganframe.interruption import Interruption

CONFIG = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [16], latent: 4, output: linear}
  discriminator: {type: mlp, hidden: [16], dropout: 0.2}
losses: [non-saturating]
regularizers: [{type: r1, every: 3}]
augmentations: [{type: instance-noise, sigma: {type: linear, start: 0.3, end: 0}}]
data: ring
train: {images: 1_600, batch_size: 8, device: cpu, ema: {half_life_images: 100}}
checkpoint: {every_images: 8, keep: 2}
loggers: [{type: jsonl, every: 1}]
"""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(CONFIG)
    return path


def start(config: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ganframe", "train", str(config), "--out", str(out), *more]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert finish(start(config, out)) == (0, "")
    return out


def wait_for_lines(run: Path, count: int) -> None:
    for _ in range(6000):
        log = run / "scalars.jsonl"
        if log.is_file() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the run takes no steps")


def assert_same(run: Path, whole: Path) -> None:
    """Weights, optimizers, averages and the log are those of a run that nobody stopped."""
    (step, mine), (other, theirs) = (load(complete(each / "checkpoints")[0]) for each in (run, whole))
    assert step == other
    mine, theirs = flat(mine), flat(theirs)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key], key
    assert scalars(run) == scalars(whole)


def flat(tree: object, key: str = "") -> dict[str, object]:
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in flat(value, f"{key}/{part}").items()}
    return {key: tree}


def scalars(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images per second"} for line in lines]


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_a_run_with_a_checkpoint_of_its_last_step(
    number: int, code: int, said: str, config: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(config, run, "--set", "checkpoint.every_images=1_000_000")
    wait_for_lines(run, 5)
    process.send_signal(number)
    found, errors = finish(process)
    assert found == code
    assert said in errors
    assert "Traceback" not in errors
    (checkpoint,) = complete(run / "checkpoints")
    assert load(checkpoint)[0] == scalars(run)[-1]["step"]
    assert (run / "report.html").is_file()
    more = ("--resume", "--allow-changes", "checkpoint")
    assert finish(start(config, run, *more)) == (0, "")
    assert_same(run, whole)


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed else []) for seed in range(25)])
def test_killed_at_any_moment_a_run_goes_on(seed: int, config: Path, whole: Path, tmp_path: Path) -> None:
    """Four kills a run, each at a random moment: with a checkpoint in every step, many fall into the writing of one."""
    moments, run = random.Random(seed), tmp_path / "run"
    process = start(config, run)
    for _ in range(4):
        steps = len(scalars(run)) if (run / "scalars.jsonl").is_file() and complete(run / "checkpoints") else 0
        wait_for_lines(run, min(steps + moments.randrange(1, 40), 195))
        time.sleep(moments.random() * 0.01)
        process.kill()
        finish(process)
        process = start(config, run, "--resume")
    assert finish(process) == (0, "")
    assert_same(run, whole)


def test_a_second_signal_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_mean_what_they_did_before_once_the_run_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        assert signal.getsignal(signal.SIGTERM) not in before
        interruption.go()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Terminated):
            interruption.go()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_changed_config_is_refused_unless_the_change_is_named(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(load_config(str(config), "train.images=16"), out=run)
    longer = load_config(str(config), "train.images=32", "train.ema.half_life_images=50")
    with pytest.raises(BadInput, match=r"differs from that of the run in: train.ema.half_life_images, train.images"):
        train(longer, out=run, resume=True)
    with pytest.raises(BadInput, match=r"in: train.ema.half_life_images\n.*--allow-changes train.ema.half_life_images"):
        train(longer, out=run, resume=True, allow_changes=["train.images"])
    before = (run / "config.yaml").read_text()
    train(longer, out=run, resume=True, allow_changes=["train.images", "train.ema"])
    assert load(complete(run / "checkpoints")[0])[0] == 4
    assert (run / "config-before-1.yaml").read_text() == before
    assert "images: 32" in (run / "config.yaml").read_text()


def test_a_change_is_not_allowed_by_the_beginning_of_its_name(config: Path, tmp_path: Path) -> None:
    train(load_config(str(config), "train.images=16"), out=tmp_path / "run")
    with pytest.raises(BadInput, match=r"in: train.images"):
        train(load_config(str(config)), out=tmp_path / "run", resume=True, allow_changes=["train.im", "tr"])
