"""What a run promises when it is stopped from outside or its numbers go wrong."""

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
from ganframe_gaussians import Ring
from torch import Tensor

from ganframe import BadInput, RunFailed, hookimpl, load_config, train
from ganframe.checkpoint import complete, load
from ganframe.errors import Terminated
from ganframe.interruption import Interruption
from ganframe.run import Run

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


class Poison:
    """Makes something of a step not finite, a number of times."""

    def __init__(self, what: str, step: int, times: int = 1) -> None:
        self.what, self.step, self.times = what, step, times

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Lie in wait."""
        self.run = run
        judge, generator = run.game.players["discriminator"], run.game.players["generator"]
        judge.register_forward_hook(lambda _module, _given, verdict: self._spoil("loss", verdict))
        for name, player in (("discriminator", judge), ("generator", generator)):
            parameter = next(player.parameters())
            parameter.register_hook(lambda slope, name=name: slope * self._factor(f"gradient of {name}"))

    def _factor(self, what: str) -> float:
        if self.what != what or self.run.step != self.step or not self.times:
            return 1.0
        self.times -= 1
        return float("nan")

    def _spoil(self, what: str, verdict: object) -> None:
        verdict.logits = verdict.logits * self._factor(what)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("loss", "turn 'discriminator': not finite: the term"),
        ("gradient of discriminator", "turn 'discriminator': not finite: the gradient of the player 'discriminator'"),
        ("gradient of generator", "turn 'generator': not finite: the gradient of the player 'generator'"),
    ],
)
def test_a_run_goes_back_from_what_is_not_finite(
    what: str, named: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("train.images=160", "checkpoint.every_images=40", "train.on_nonfinite=rollback")
    train(load_config(str(config), *settings), out=tmp_path / "run", hooks=[Poison(what, 12)])
    said = " ".join(capsys.readouterr().err.split())
    assert f"went back from step 12 to 10: step 12, {named}" in said
    assert [line["step"] for line in scalars(tmp_path / "run")] == list(range(1, 21))
    _, state = load(complete(tmp_path / "run" / "checkpoints")[0])
    assert state["progress"] == {"images": 160, "rollbacks": 1}
    assert all(bool(each.isfinite().all()) for each in flat(state).values() if isinstance(each, Tensor))


def test_what_comes_after_going_back_is_other_data(config: Path, tmp_path: Path) -> None:
    settings = ("train.images=160", "checkpoint.every_images=40", "train.on_nonfinite=rollback")
    for name, hooks in (("calm", []), ("poisoned", [Poison("loss", 12)])):
        train(load_config(str(config), *settings), out=tmp_path / name, hooks=hooks)
    calm, poisoned = scalars(tmp_path / "calm"), scalars(tmp_path / "poisoned")
    assert calm[:10] == poisoned[:10]
    assert all(mine != theirs for mine, theirs in zip(calm[10:], poisoned[10:], strict=True))


def test_before_the_first_checkpoint_a_run_goes_back_to_its_start(config: Path, tmp_path: Path) -> None:
    settings = ("train.images=80", "checkpoint.every_images=80", "train.on_nonfinite=rollback")
    train(load_config(str(config), *settings), out=tmp_path / "run", hooks=[Poison("loss", 3)])
    assert [line["step"] for line in scalars(tmp_path / "run")] == list(range(1, 11))


def test_a_run_does_not_go_back_for_ever(config: Path, tmp_path: Path) -> None:
    settings = ("train.images=160", "train.on_nonfinite=rollback", "train.max_rollbacks=2")
    with pytest.raises(RunFailed, match=r"went back 2 times already \(train.max_rollbacks\)"):
        train(load_config(str(config), *settings), out=tmp_path / "run", hooks=[Poison("loss", 4, times=1000)])


def test_data_that_are_not_finite_are_named(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Ring.build

    def spoilt(self: Ring) -> object:
        dataset = build(self)
        dataset.fetch = lambda *_: {"real": torch.full((8, 2), torch.nan), "mode": torch.zeros(8).long()}
        return dataset

    monkeypatch.setattr(Ring, "build", spoilt)
    with pytest.raises(RunFailed, match=r"step 0, turn 'discriminator': .*\(nor are the data: real\)"):
        train(load_config(str(config)), out=tmp_path / "run")
