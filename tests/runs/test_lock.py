"""The lock of a run: who has it, when it is taken over, and what is said."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ganframe.errors import BadInput, RunFailed
from ganframe.runs.lock import LOCK_FILE, Owner, locked, this_process, write_lock


def left(run: Path, owner: Owner) -> None:
    (run / LOCK_FILE).write_text(json.dumps(asdict(owner)))


def assert_refused(run: Path, message: str, remedy: str = "", **options: bool) -> None:
    before = (run / LOCK_FILE).read_bytes()
    with pytest.raises(BadInput, match=message) as problem, locked(run, **options):
        raise AssertionError("locked")
    assert remedy in problem.value.remedy
    assert (run / LOCK_FILE).read_bytes() == before


@pytest.fixture
def other() -> Any:
    """Another process of this machine."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def owner_of(process: int) -> Owner:
    from ganframe.runs import lock

    return replace(this_process(), process=process, began=lock._began(process) or "")


def test_the_lock_is_there_while_the_run_trains_and_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        held = json.loads((tmp_path / LOCK_FILE).read_text())
        raise ZeroDivisionError
    assert (held["process"], held["host"]) == (os.getpid(), socket.gethostname())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", held["since"])
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_told_of_the_first(tmp_path: Path, other: Any) -> None:
    owner = replace(owner_of(other.pid), since="2026-01-02T03:04:05+00:00")
    left(tmp_path, owner)
    said = f"process {other.pid} on {socket.gethostname()} trains this run since 2026-01-02T03:04:05"
    assert_refused(tmp_path, said, "end it")
    assert_refused(tmp_path, said, break_lock=True)


def test_a_process_of_another_user_has_the_lock_too(
    tmp_path: Path, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process: int, _signal: int) -> None:
        raise PermissionError(errno.EPERM, "of another user")

    left(tmp_path, owner_of(other.pid))
    monkeypatch.setattr(os, "kill", refuse)
    assert_refused(tmp_path, f"process {other.pid} on ")


def test_this_process_itself_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert_refused(tmp_path, f"process {os.getpid()} ")


def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path: Path, other: Any) -> None:
    owner = owner_of(other.pid)
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # nobody has asked how it ended
    left(tmp_path, owner)
    with locked(tmp_path):
        pass
    other.wait()
    left(tmp_path, owner)
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["process"] == os.getpid()
    assert not (tmp_path / LOCK_FILE).exists()


def test_another_process_with_the_number_of_the_owner_is_not_the_owner(tmp_path: Path, other: Any) -> None:
    left(tmp_path, replace(owner_of(other.pid), began="another boot 17"))
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("process", [0, -1, 2**70])
def test_numbers_of_no_process_are_taken_over(process: int, tmp_path: Path) -> None:
    left(tmp_path, replace(this_process(), process=process))
    with locked(tmp_path):
        pass


def test_the_lock_of_another_machine_is_broken_only_by_name(tmp_path: Path) -> None:
    left(tmp_path, replace(this_process(), host="elsewhere"))
    assert_refused(tmp_path, f"process {os.getpid()} on elsewhere trains", "--break-lock")
    with locked(tmp_path, break_lock=True):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 9999, b'{"process": "1"}', b"\xff"])
def test_a_lock_that_cannot_be_read_is_broken_only_by_name(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganframe.runs.lock.time.sleep", lambda _seconds: None)
    (tmp_path / LOCK_FILE).write_bytes(content)
    assert_refused(tmp_path, "this lock of the run cannot be read", "--break-lock")
    with locked(tmp_path, break_lock=True):
        pass


def test_a_lock_that_was_broken_is_left_to_its_new_owner(tmp_path: Path) -> None:
    new = replace(this_process(), host="elsewhere")
    with locked(tmp_path):
        left(tmp_path, new)
    assert json.loads((tmp_path / LOCK_FILE).read_text()) == asdict(new)


def test_a_run_that_vanishes_meanwhile_is_no_second_error(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with locked(run):
        (run / LOCK_FILE).unlink()
        run.rmdir()


def test_a_full_disk_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ganframe.runs.lock.os.write", full)
    with pytest.raises(RunFailed, match="cannot be written: No space left"), locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("time", range(5))
def test_of_many_that_take_over_one_lock_one_has_it(time: int, tmp_path: Path) -> None:
    left(tmp_path, replace(this_process(), began=f"another boot {time}"))
    began, ended = threading.Barrier(8), threading.Barrier(8)
    results = list[str]()

    def take() -> None:
        began.wait()
        try:
            with locked(tmp_path):
                results.append("has it")
                ended.wait()
        except BadInput as problem:
            results.append(problem.message.partition(" ")[0])
            ended.wait()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["has it", *["process"] * 7]


def test_a_lock_is_never_written_over(tmp_path: Path) -> None:
    write_lock(tmp_path, this_process())
    with pytest.raises(BadInput, match="has just begun"):
        write_lock(tmp_path, this_process())
