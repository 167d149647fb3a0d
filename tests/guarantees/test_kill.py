"""Killed with `kill -9` at any moment and resumed, a run ends as if nothing had happened: weights, optimizers,
averages, regularizers, augmentations and pictures are bit-identical, and the logs have neither holes nor duplicates.

Runs of ten kinds (plain, lazy R1 with LeCam, path length and ADA, spectral norm, batch norm, CycleGAN with its image
pool, a fade-in that a hook drives, growing networks, a balancer, a best checkpoint, turns under conditions) are killed
at random moments and in the middle of every kind of write, resumed, and compared with a run of the same config that
nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figures import Figures
from harness import CONFIGS, Nursery, Undisturbed, assert_same, lines
from nursery import Job

slow = pytest.mark.slow

OTHER_PLACES = ("rename", "renamed", "remove", "snapshot", "restore")
FAST = ("plain", "CycleGAN", "progressive")
KINDS = [name for name in CONFIGS if name != "short"]
QUIET: dict[str, Any] = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "stdout": subprocess.DEVNULL}


def command(config: Path, out: Path) -> tuple[str, ...]:
    """The command that starts the run, or resumes it where there is one."""
    return ("train", str(config), "--out", str(out), *(["--resume"] if out.is_dir() else []))


def finish(nursery: Nursery, whole: Undisturbed, run: Path, seen: Path) -> None:
    ended = nursery.run(Job(command(whole.config, run), seen=str(seen)))
    assert (ended.code, ended.err) == (0, "")
    assert_same(run, whole.run)
    data = {line["step"]: line["data"] for line in lines(seen)}
    assert data == {line["step"]: line["data"] for line in whole.seen}


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        pytest.param(name, seed, marks=[] if seed == 0 and name in FAST else [slow])
        for name in KINDS
        for seed in range(4)
    ],
)
def test_at_a_random_moment(
    name: str,
    seed: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    """Several kills a run: one before its first checkpoint, the others wherever they fall."""
    moments, whole, run, seen = random.Random(seed), undisturbed(name), tmp_path / "run", tmp_path / "seen"
    kills, saving = 1 if seed == 0 else 5, 0
    for _ in range(kills):
        child = nursery.start(Job(command(whole.config, run), seen=str(seen)))
        steps = moments.randrange(len(whole.seen) // 3)
        assert child.wait_until(lambda child=child, steps=steps: child.steps >= steps)
        time.sleep(moments.random() * 0.02)
        child.send(signal.SIGKILL)
        child.end()
        saving += child.saving
    finish(nursery, whole, run, seen)
    figures.count("runs killed", kills)
    figures.count("of them inside a checkpoint", saving)


@pytest.mark.parametrize("place", ["write", "log", *(pytest.param(each, marks=slow) for each in OTHER_PLACES)])
@pytest.mark.parametrize(
    ("name", "count"), [("plain", 2), *(pytest.param(name, 4, marks=slow) for name in ["CycleGAN", "progressive"])]
)
def test_in_the_middle_of(
    place: str,
    name: str,
    count: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    """The child stops in the middle of a write, or before or after a file is moved, and is killed there."""
    chance, whole, run, seen = random.Random(f"{place} {name}"), undisturbed(name), tmp_path / "run", tmp_path / "seen"
    for _ in range(count):
        number = chance.randrange(1, {"log": 10, "snapshot": 2, "restore": 2, "remove": 4}.get(place, 20))
        child = nursery.start(Job(command(whole.config, run), seen=str(seen), place=place, number=number, what="hold"))
        if child.wait_until(lambda child=child: child.held):
            child.send(signal.SIGKILL)
            figures.count("runs killed")
            figures.count("of them inside a checkpoint", child.saving)
        child.end()
    finish(nursery, whole, run, seen)


@pytest.mark.parametrize("kills", [pytest.param(10, marks=slow)])
def test_through_a_real_command_line(
    kills: int, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """Processes of their own share nothing: not even the order in which Python lays out its sets of names.

    They are killed after some steps of their own; one in five as it starts.
    """
    moments, whole, run = random.Random(kills), undisturbed("plain"), tmp_path / "run"
    log = run / "scalars.jsonl"
    for number in range(kills):
        before, steps = last_step(log), moments.randrange(1, 5)
        process = subprocess.Popen([sys.executable, "-m", "ganframe", *command(whole.config, run)], **QUIET)
        while process.poll() is None and not (run.is_dir() if number % 5 == 0 else last_step(log) >= before + steps):
            time.sleep(0.001)
        time.sleep(moments.random() * 0.02)
        assert process.poll() is None
        process.kill()
        process.wait()
        figures.count("runs killed")
    assert last_step(log) > kills
    subprocess.run([sys.executable, "-m", "ganframe", *command(whole.config, run)], check=True, **QUIET)
    assert_same(run, whole.run)


def last_step(log: Path) -> int:
    """The last step of which a log has the whole line."""
    whole = log.read_bytes().rpartition(b"\n")[0] if log.exists() else b""
    return json.loads(whole.splitlines()[-1])["step"] if whole else 0
