"""One process trains a run at a time: a second one is refused with the process, the host and the time of the first, a
lock that a killed process left is taken over, and runs that begin in the same second have a folder each.

Runs are resumed while another process is held in the middle of them; they are killed, signalled and starved of disk,
after which the lock is gone or is taken over. Several processes begin and resume the same run at once.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from figures import Figures
from harness import PLAIN, Nursery, Undisturbed, assert_same, scalars
from nursery import Job

from ganframe import BadInput, load_config
from ganframe.runs.folder import RunFolder
from ganframe.runs.lock import LOCK_FILE, this_process
from ganframe.training.start_or_resume import _create

slow = pytest.mark.slow


def command(whole: Undisturbed, run: Path) -> tuple[str, ...]:
    return ("train", str(whole.config), "--out", str(run), *(["--resume"] if run.is_dir() else []))


def files(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[slow] if seed else []) for seed in range(10)])
def test_a_run_that_is_trained_is_refused_and_goes_on_once_its_process_is_dead(
    seed: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    cli: Callable[..., Any],
    tmp_path: Path,
    figures: Figures,
) -> None:
    chance, whole, run = random.Random(seed), undisturbed("plain"), tmp_path / "run"
    number = chance.randrange(2, 12)
    child = nursery.start(Job(command(whole, run), place="rename", number=number, what="hold"))
    assert child.wait_until(lambda: child.held)
    before = files(run)
    second = cli("train", run, "--resume")
    assert second.code == 2
    assert f"process {child.pid} on {socket.gethostname()} trains this run since 20" in second.err
    assert "Traceback" not in second.err
    assert files(run) == before
    figures.count("second processes refused")
    child.send(signal.SIGKILL)
    child.end()
    assert (run / LOCK_FILE).is_file()
    ended = nursery.run(Job(command(whole, run)))
    assert (ended.code, ended.err) == (0, "")
    assert not (run / LOCK_FILE).exists()
    assert_same(run, whole.run)
    figures.count("locks of killed processes taken over")


@pytest.mark.parametrize(
    ("place", "what", "code"),
    [
        ("rename", f"signal {int(signal.SIGTERM)}", 143),
        ("log", "error 28", 1),
        pytest.param("rename", f"signal {int(signal.SIGINT)}", 130, marks=slow),
        pytest.param("write", "error 28", 1, marks=slow),
    ],
)
def test_no_lock_is_left_by_a_run_that_ends(
    place: str,
    what: str,
    code: int,
    nursery: Nursery,
    undisturbed: Callable[[str], Undisturbed],
    tmp_path: Path,
    figures: Figures,
) -> None:
    whole, run = undisturbed("plain"), tmp_path / "run"
    assert not (whole.run / LOCK_FILE).exists()
    ended = nursery.run(Job(command(whole, run), place=place, number=9, what=what))
    assert ended.code == code
    assert run.is_dir()
    assert not (run / LOCK_FILE).exists()
    figures.count("runs ended by a signal or an error, without a lock")


def test_runs_that_begin_in_the_same_second_have_a_folder_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganframe.runs.folder.time.strftime", lambda _form: "now")
    Path("config.yaml").write_text(PLAIN)
    experiment = load_config("config.yaml")
    assembly: Any = SimpleNamespace(experiment=experiment, game=SimpleNamespace(data=experiment.data.spec()))
    together, made = threading.Barrier(16), list[Path]()

    def begin() -> None:
        together.wait()
        made.append(_create(assembly, None, "ring", this_process()).path)

    threads = [threading.Thread(target=begin) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {Path("runs/ring-now"), *(Path(f"runs/ring-now-{number}") for number in range(2, 17))}
    assert set(made) == expected
    assert set(Path("runs").iterdir()) == expected
    for run in made:
        assert RunFolder.open(run).experiment() == experiment
    figures.count("runs begun in the same second", 16)


def test_one_folder_that_is_named_for_several_runs_is_that_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check comes before the folder is made, so the others find out when they rename their own."""
    (tmp_path / "config.yaml").write_text(PLAIN)
    experiment = load_config(str(tmp_path / "config.yaml"))
    rename = Path.rename

    def late(draft: Path, path: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        other = threading.Thread(target=RunFolder.create, args=(path, experiment, {}))
        other.start()
        other.join()
        return rename(draft, path)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(BadInput, match="this run folder exists already"):
        RunFolder.create(tmp_path / "run", experiment, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "run"]


def test_a_lock_of_another_machine_is_broken_by_name(
    undisturbed: Callable[[str], Undisturbed], cli: Callable[..., Any], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(undisturbed("plain").run, tmp_path / "run"))
    (run / LOCK_FILE).write_text(json.dumps(asdict(this_process()) | {"host": "elsewhere"}))
    refused = cli("train", run, "--resume")
    assert refused.code == 2
    assert f"process {os.getpid()} on elsewhere trains this run since" in refused.err
    assert "add --break-lock" in refused.err
    assert cli("sample", run, "--count", "4").code == 0
    assert cli("train", run, "--resume", "--break-lock").code == 0
    assert not (run / LOCK_FILE).exists()
    refused = cli("train", run / "config.yaml", "--break-lock")
    assert (refused.code, "--break-lock needs --resume" in refused.err) == (2, True)


@slow
def test_of_several_that_resume_at_once_one_goes_on(
    nursery: Nursery, undisturbed: Callable[[str], Undisturbed], tmp_path: Path, figures: Figures
) -> None:
    whole, run = undisturbed("plain"), tmp_path / "run"
    ended = nursery.run(Job(command(whole, run), place="rename", number=8, what=f"signal {int(signal.SIGTERM)}"))
    assert ended.code == 143
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "ganframe", *command(whole, run)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    results = [(process.communicate()[1], process.returncode) for process in processes]
    refused = [errors for errors, code in results if code == 2]
    # The last of them may begin when the first has ended, and finds a run that is done.
    assert all(code in (0, 2) for _, code in results)
    assert all("trains this run since" in errors or "has just begun" in errors for errors in refused)
    steps = [line["step"] for line in scalars(run)]
    assert steps == list(range(1, 41))
    assert not (run / LOCK_FILE).exists()
    figures.count("second processes refused", len(refused))
