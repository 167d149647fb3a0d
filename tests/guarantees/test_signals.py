"""SIGTERM and Ctrl-C end a run with a checkpoint of its last step, within seconds and with the exit codes 143 and 130;
resumed, it sees every batch once and ends as if it had never stopped. A second signal ends it at once. A terminal that
is closed (SIGHUP) acts as SIGTERM, except under nohup; a stdout or stderr that breaks or was closed costs nothing.

Runs are signalled at random moments and, by themselves, in the middle of start-up, steps, measurements, pictures and
checkpoints; afterwards the order of the data is compared batch by batch, and the state bit by bit.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from figures import Figures
from harness import Nursery, Undisturbed, assert_same, latest_state, lines, list_checkpoints, scalars
from nursery import Job

from ganframe.errors import Terminated
from ganframe.training.stop_request import EvaluationAborted, StopRequest

slow = pytest.mark.slow

ENDS = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "terminated"),
    signal.SIGHUP: (143, "terminated"),
}

PATIENCE = 30
"""Seconds that a scheduler waits before it kills."""


def arguments(whole: Undisturbed, run: Path) -> tuple[str, ...]:
    """The command that starts or resumes the run, which is saved at its end and when it is asked to stop, only."""
    more = ("--resume", "--allow-changes", "checkpoint") if run.is_dir() else ()
    return ("train", str(whole.config), "--out", str(run), "--set", "checkpoint.every_images=320", *more)


def assert_ended(ended: object, number: int) -> None:
    code, word = ENDS[signal.Signals(number)]
    assert ended.code == code
    assert ended.err.startswith(f"error: {word}")
    assert len(ended.err.splitlines()) == 1


def finish(nursery: Nursery, whole: Undisturbed, run: Path, seen: Path) -> None:
    ended = nursery.run(Job(arguments(whole, run), seen=str(seen)))
    assert (ended.code, ended.err) == (0, "")
    assert lines(seen) == whole.seen, "a batch was repeated or lost"
    assert_same(run, whole.run)


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[slow] if seed else []) for seed in range(13)])
def test_at_random_moments(
    seed: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    """Each run is stopped four times, by each signal in turn."""
    moments, whole, run, seen = random.Random(seed), undisturbed("plain"), tmp_path / "run", tmp_path / "seen"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        child = nursery.start(Job(arguments(whole, run), seen=str(seen)))
        steps = moments.randrange(9)
        assert child.wait_until(lambda child=child, steps=steps: child.begun and child.steps >= steps and run.is_dir())
        time.sleep(moments.random() * 0.02)
        asked = time.monotonic()
        child.send(number)
        ended = child.end()
        took = time.monotonic() - asked
        assert_ended(ended, number)
        assert took < PATIENCE
        if scalars(run):
            assert latest_state(run)[0] == scalars(run)[-1]["step"]
            assert (run / "report.html").is_file()
        figures.count("runs stopped")
        figures.worst("slowest end, seconds", took)
    finish(nursery, whole, run, seen)


@pytest.mark.parametrize(
    ("place", "visit"),
    [
        ("start", 1),
        ("evaluation", 1),
        ("rename", 2),
        *(pytest.param(*case, marks=slow) for case in [("write", 1), ("evaluation", 4), ("snapshot", 1), ("save", 1)]),
    ],
)
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=slow), pytest.param(signal.SIGHUP, marks=slow)]
)
def test_in_the_middle_of(
    place: str,
    visit: int,
    number: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    """At any point of the run, work under way is completed, or done again from its beginning after the resume."""
    whole, run, seen = undisturbed("plain"), tmp_path / "run", tmp_path / "seen"
    often = "checkpoint.every_images=16" if place in ("save", "rename") else "checkpoint.every_images=320"
    often = (*arguments(whole, run), "--set", often, "--set", "snapshot.every_images=80")
    ended = nursery.run(Job(often, seen=str(seen), place=place, number=visit, what=f"signal {int(number)}"))
    assert_ended(ended, number)
    if place in ("start", "write"):
        assert not list(tmp_path.iterdir()) or not run.exists()
    else:
        assert latest_state(run)[0] == scalars(run)[-1]["step"]
    figures.count("runs stopped")
    resume = ("train", str(whole.config), "--out", str(run))
    if run.is_dir():
        resume = (*resume, "--resume", "--allow-changes", "checkpoint", "--allow-changes", "snapshot")
    ended = nursery.run(Job(resume, seen=str(seen)))
    assert (ended.code, ended.err) == (0, "")
    assert lines(seen) == whole.seen
    assert lines(run / "metrics.jsonl") == lines(whole.run / "metrics.jsonl")
    assert scalars(run) == scalars(whole.run)


def test_a_second_signal_leaves_at_once_with_the_last_checkpoint_whole(
    nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """The first one comes from outside; the child is held inside the checkpoint that answers it."""
    whole, run, seen = undisturbed("plain"), tmp_path / "run", tmp_path / "seen"
    for number in (signal.SIGINT, signal.SIGTERM):
        job = ("train", str(whole.config), "--out", str(run), *(["--resume"] if run.is_dir() else []))
        child = nursery.start(Job(job, seen=str(seen), place="rename", number=4, what="hold"))
        assert child.wait_until(lambda child=child: child.held)
        child.send(number)
        time.sleep(0.05)
        child.send(number)
        ended = child.end()
        assert_ended(ended, number)
        assert not (run / "report.html").is_file()
        assert latest_state(run)[0] == int(list_checkpoints(run / "checkpoints")[0].name)
        assert not list((run / "checkpoints").glob(".*"))
        figures.count("runs stopped twice")
    ended = nursery.run(Job((*job, "--resume"), seen=str(seen)))
    assert (ended.code, ended.err) == (0, "")
    assert_same(run, whole.run)


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_command_line_with_loader_workers(
    number: int, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    """The signal goes to the whole group of processes, as that of a terminal or a scheduler does."""
    whole, run = undisturbed("plain"), tmp_path / "run"
    command = [sys.executable, "-m", "ganframe", *arguments(whole, run), "--set", "train.workers=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while len(scalars_so_far(run)) < 5:
            time.sleep(0.01)
            assert process.poll() is None
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=120)
    code, word = ENDS[signal.Signals(number)]
    assert process.returncode == code
    assert errors.startswith(f"error: {word}")
    command[-2:] = ["--resume", "--allow-changes", "checkpoint", "--allow-changes", "train.workers"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert_same(run, whole.run)
    figures.count("runs stopped")


def real_command(whole: Undisturbed, run: Path) -> list[str]:
    return [sys.executable, "-m", "ganframe", "train", str(whole.config), "--out", str(run)]


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    "how",
    [
        "2>&1 | true",
        *(pytest.param(how, marks=slow) for how in ("| true", ">&- 2>&-", ">/dev/full 2>/dev/full", ">&-", "2>&-")),
    ],
)
def test_output_that_cannot_be_written_costs_nothing(
    how: str, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    whole, run = undisturbed("plain"), tmp_path / "run"
    # Both streams are quiet until the run has begun, so that the reader has ended by then.
    command = f'{{ "$@"; echo $? > code; }} {how}'
    done = subprocess.run(
        ["bash", "-c", command, "bash", *real_command(whole, run)],
        env=ONE_THREAD,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (tmp_path / "code").read_text() == "0\n"
    notice = "stdout cannot be written (Broken pipe); the run goes on without it\n"
    assert done.stderr == (notice if how == "| true" else "")
    assert_same(run, whole.run)
    assert (run / "report.html").is_file()
    figures.count("runs with broken output")


@slow
def test_a_terminal_that_is_closed(undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures) -> None:
    """The kernel sends SIGHUP to the run, and whatever it prints from then on fails."""
    whole, run = undisturbed("plain"), tmp_path / "run"
    ours, theirs = os.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *real_command(whole, run), "--set", "train.images=1_000_000"],
        env=ONE_THREAD,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.set_blocking(ours, False)
        while len(scalars_so_far(run)) < 5:
            with contextlib.suppress(BlockingIOError):
                os.read(ours, 1 << 16)
            time.sleep(0.01)
            assert process.poll() is None
        os.close(ours)
        assert process.wait(timeout=120) == 143
    assert latest_state(run)[0] == scalars(run)[-1]["step"]
    figures.count("runs stopped")


@slow
def test_under_nohup_a_run_goes_on(undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures) -> None:
    whole, run = undisturbed("plain"), tmp_path / "run"
    with subprocess.Popen(
        ["nohup", *real_command(whole, run)],
        env=ONE_THREAD,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not scalars_so_far(run):  # `nohup` itself does not ignore it from the start
            time.sleep(0.01)
            assert process.poll() is None
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (0, "")
    assert_same(run, whole.run)
    figures.count("runs under nohup")


def scalars_so_far(run: Path) -> list[object]:
    log = run / "scalars.jsonl"
    text = log.read_text() if log.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_first_signal_is_noted_and_the_second_one_acts(number: int, error: type[BaseException]) -> None:
    with pytest.raises(error), StopRequest() as interruption:
        interruption.abort_evaluation()
        interruption.stop()
        os.kill(os.getpid(), number)
        assert interruption.asked == number
        with pytest.raises(EvaluationAborted):
            interruption.abort_evaluation()
        with pytest.raises(error):
            interruption.stop()
        assert not interruption.at_once
        os.kill(os.getpid(), number)
    assert interruption.at_once


def test_signals_mean_what_they_did_before_once_the_run_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
