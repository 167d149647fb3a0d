"""Runs in processes of their own, to be killed, signalled and starved, and what of them is compared."""

from __future__ import annotations

import json
import mmap
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nursery import Job
from torch import Tensor

from ganframe.runs.checkpoint_files import list_checkpoints, load

PLAIN = """
game:
  type: adversarial
  generator: {type: mlp, hidden: [16], latent: 4, output: linear}
  discriminator: {type: mlp, hidden: [16], dropout: 0.2}
losses: [non-saturating]
regularizers: [{type: r1, every: 3}]
augmentations: [{type: instance-noise, sigma: {type: linear, start: 0.3, end: 0}}]
data: ring
train: {images: 320, batch_size: 8, device: cpu, ema: {half_life_images: 100}}
evaluate: {metrics: [{type: mode-coverage, samples: 200}], every_images: 64}
snapshot: {every_images: 320, count: 4}
checkpoint: {every_images: 16, keep: 2}
loggers: [{type: jsonl, every: 1}]
"""
"""Forty steps of points in the plane: a run that is quick."""

_IMAGES = """
game:
  type: adversarial
  generator: {generator}
  discriminator: {discriminator}
  condition: label
losses: [{loss}]
{more}
data: digits
train: {{images: 160, batch_size: 8, device: cpu, ema: {{half_life_images: 100}}}}
snapshot: {{every_images: 64, count: 4}}
checkpoint: {{every_images: 16, keep: 2}}
loggers: [{{type: jsonl, every: 1}}]
"""
_MLP = "{type: mlp, hidden: [16], latent: 4}"

CONFIGS = {
    "plain": PLAIN,
    "short": PLAIN.replace("every_images: 320", "every_images: 40").replace("images: 320", "images: 80"),
    "lazy R1": _IMAGES.format(
        generator=_MLP,
        discriminator="{type: mlp, hidden: [16]}",
        loss="hinge",
        more="regularizers: [{type: r1, every: 3}, {type: lecam}, {type: path-length, every: 4}]\n"
        "augmentations: [{type: ada, images: 100, interval: 2}]",
    ),
    "spectral norm": _IMAGES.format(
        generator=f"{{type: spectral-norm, of: {_MLP}}}",
        discriminator="{type: spectral-norm, of: {type: mlp, hidden: [16]}}",
        loss="hinge",
        more="",
    ),
    "batch norm": _IMAGES.format(
        generator="{type: dcgan, channels: 2, latent: 4}",
        discriminator="{type: dcgan, channels: 2}",
        loss="non-saturating",
        more="",
    ),
    "CycleGAN": """
game:
  type: cycle
  generator: {type: resnet, channels: 2, blocks: 1}
  discriminator: {type: patchgan, receptive_field: 16, channels: 2, norm: instance}
  pool: 12
losses: [least-squares]
regularizers: [{type: cycle, weight: 10}, {type: identity, weight: 2}]
data: {type: fluent-emoji, paired: false}
train: {images: 60, batch_size: 4, device: cpu, ema: {half_life_images: 100}}
snapshot: {every_images: 60, count: 2}
checkpoint: {every_images: 8, keep: 2}
loggers: [{type: jsonl, every: 1}]
""",
    "progressive": _IMAGES.format(
        generator=f"{{type: fading-in, of: {_MLP}}}",
        discriminator="{type: mlp, hidden: [16]}",
        loss="least-squares",
        more="",
    ),
    "growing": """
game: pair
losses: [non-saturating]
regularizers: [{type: r1, every: 3}]
data: random-images
growth:
  stages:
    - {from_images: 0, downscale: 4, batch_size: 8}
    - {from_images: 80, downscale: 2, fade_images: 32}
    - {from_images: 160, downscale: 1, fade_images: 32, batch_size: 4}
train: {images: 240, batch_size: 8, device: cpu, ema: {half_life_images: 100, ramp_up: 0.5}}
snapshot: {every_images: 64, count: 4}
checkpoint: {every_images: 16, keep: 2}
loggers: [{type: jsonl, every: 1}]
""",
    "balanced": _IMAGES.format(
        generator=_MLP,
        discriminator="{type: mlp, hidden: [16]}",
        loss="hinge",
        more="regularizers: [{type: feature-matching}]\n"
        "balancers: {generator: {type: gradient-balancer, at: fake, terms: [hinge, feature-matching]}}",
    ),
    "best checkpoint": PLAIN.replace(
        "every_images: 64}", "every_images: 16, best: {result: mode-coverage/kl, goal: lowest}}"
    ),
    "conditional turns": _IMAGES.format(
        generator=_MLP,
        discriminator="{type: mlp, hidden: [16], dropout: 0.2}",
        loss="non-saturating",
        more="regularizers: [{type: r1, every: 3, from_images: 40}]\n"
        "turn_conditions:\n"
        "  discriminator: {type: discriminator-accuracy, at_most: 0.9}\n"
        "  generator: {type: probability, p: 0.6}",
    ),
}
"""A small run for each kind of state that a run may have."""


def flat(tree: object, key: str = "") -> dict[str, object]:
    """The leaves of a state tree by their path."""
    if isinstance(tree, dict):
        return {name: each for part, value in tree.items() for name, each in flat(value, f"{key}/{part}").items()}
    if isinstance(tree, list):
        return {name: each for part, value in enumerate(tree) for name, each in flat(value, f"{key}/{part}").items()}
    return {key: tree}


def latest_state(run: Path) -> tuple[int, dict[str, Any]]:
    """Step and state of a run's last checkpoint."""
    return load(list_checkpoints(run / "checkpoints")[0])


def lines(log: Path) -> list[dict[str, float]]:
    """The lines of a log, every one of which has to be whole; without how fast it went."""
    text = log.read_text() if log.is_file() else ""
    found = [json.loads(line) for line in text.splitlines()]
    return [{name: value for name, value in line.items() if name != "images per second"} for line in found]


def scalars(run: Path) -> list[dict[str, float]]:
    """The lines that a run logged of its steps."""
    return lines(run / "scalars.jsonl")


def assert_same(run: Path, whole: Path) -> None:
    """Weights, optimizers, averages, pools, logs and pictures are those of a run that nobody disturbed."""
    (step, mine), (other, theirs) = latest_state(run), latest_state(whole)
    assert step == other
    mine, theirs = flat(mine), flat(theirs)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key], key
    for log in ("scalars.jsonl", "metrics.jsonl"):
        assert lines(run / log) == lines(whole / log), log
    pictures = sorted(path.name for path in (whole / "pictures").iterdir())
    assert sorted(path.name for path in (run / "pictures").iterdir()) == pictures
    for name in pictures:
        assert (run / "pictures" / name).read_bytes() == (whole / "pictures" / name).read_bytes(), name


@dataclass(frozen=True)
class Undisturbed:
    """A run that went through at once.

    Attributes:
        config: The file of its config.
        run: Its folder.
        seen: Which data each step saw.
    """

    config: Path
    run: Path
    seen: list[dict[str, Any]]


@dataclass
class Ended:
    """How a child ended: exit code or minus the signal that killed it, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Child:
    """A run under way."""

    pid: int
    _reply: Callable[[], str]
    _status: memoryview
    _folder: Path
    _ended: Ended | None = field(default=None)

    @property
    def steps(self) -> int:
        """Steps that the child has taken."""
        return self._status[0]

    @property
    def begun(self) -> bool:
        """Whether the command line has begun."""
        return bool(self._status[5])

    @property
    def saving(self) -> bool:
        """Whether it is inside `checkpoint.save`."""
        return bool(self._status[1])

    @property
    def held(self) -> bool:
        """Whether it has stopped where it was told to."""
        return bool(self._status[2])

    @property
    def visits(self) -> int:
        """How often it came to its place."""
        return self._status[3]

    @property
    def has_ended(self) -> bool:
        """Whether `end` was waited for."""
        return self._ended is not None

    def wait_until(self, reached: Callable[[], bool]) -> bool:
        """Wait for something; False when the child ended before."""
        for _ in range(200_000):
            if reached():
                return True
            if self._is_over():
                return False
            time.sleep(0.0005)
        raise AssertionError("the run gets nowhere")

    def send(self, number: int) -> None:
        """Send a signal, if it has not ended yet."""
        assert self.pid > 1
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait for its end."""
        if self._ended is None:
            code = int(self._reply())
            said = ((self._folder / name).read_text() for name in ("out", "err"))
            self._ended = Ended(code, *said)
        return self._ended

    def _is_over(self) -> bool:
        return bool(self._status[4])


class Nursery:
    """Forks children, one at a time.

    Args:
        folder: Where their output goes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: Child | None = None
        status = folder / "status"
        status.write_bytes(bytes(8 * 8))
        self._file = status.open("r+b")
        self._status = memoryview(mmap.mmap(self._file.fileno(), 0)).cast("q")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("nursery.py"), folder],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, job: Job) -> Child:
        """Let a child do a job."""
        assert self._process.stdin
        assert self._child is None or self._child.has_ended, "one at a time"
        self._status[:] = memoryview(bytes(8 * 8)).cast("q")
        self._process.stdin.write(json.dumps(vars(job)) + "\n")
        self._process.stdin.flush()
        self._child = Child(int(self._reply()), self._reply, self._status, self._folder)
        return self._child

    def run(self, job: Job) -> Ended:
        """Let a child do a job to its end."""
        return self.start(job).end()

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()
        self._file.close()

    def _reply(self) -> str:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], 200)
        assert ready, "the child does not end"
        return self._process.stdout.readline()
