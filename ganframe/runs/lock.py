"""The lock of a run: one process trains it at a time, and a lock whose process has ended is taken over."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from ganframe.errors import BadInput, writing
from ganframe.files import open_regular, parse_json

LOCK_FILE = "lock.json"
LARGEST_LOCK = 4096
"""The most bytes of a lock that are read."""


@dataclass(frozen=True)
class Owner:
    """The process that trains a run.

    Attributes:
        process: Its number.
        host: The name of its machine.
        since: When it took the lock, in UTC, in ISO 8601 format.
        began: When it began, as far as the system tells: another process that gets the same number later began at
            another time. Empty where the system does not tell.
    """

    process: int
    host: str
    since: str
    began: str


_OWNER = TypeAdapter(Owner)


def this_process() -> Owner:
    """Return this process as the owner of a lock that it takes now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(os.getpid(), socket.gethostname(), now, _began(os.getpid()) or "")


@contextlib.contextmanager
def locked(run: Path, *, break_lock: bool = False) -> Generator[None, None, None]:
    """Hold the lock of a run inside the `with` block.

    Args:
        run: The run folder.
        break_lock: Whether to take the lock from a process of another machine, of which it is not known whether it is
            still running.

    Raises:
        BadInput: When another process has the lock.
        RunFailed: When the lock cannot be written.
    """
    owner = this_process()
    with _alone(run):
        _refuse_other_owner(run / LOCK_FILE, break_lock=break_lock)
        write_lock(run, owner)
    with held(run, owner):
        yield


@contextlib.contextmanager
def held(run: Path, owner: Owner) -> Generator[None, None, None]:
    """Release a lock that this process has at the end of the `with` block, unless it was broken meanwhile."""
    try:
        yield
    finally:
        # The folder may be gone, or its disk read-only by now; the next process finds that this one has ended.
        with contextlib.suppress(OSError, BadInput):
            if _read(run / LOCK_FILE) == owner:
                (run / LOCK_FILE).unlink()


def write_lock(run: Path, owner: Owner) -> None:
    """Create the lock of a run.

    Raises:
        BadInput: When there is a lock.
        RunFailed: When it cannot be written.
    """
    path = run / LOCK_FILE
    with writing(path):
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise _refusal(run, "another process has just begun to train this run") from None
        try:
            os.write(file, json.dumps(asdict(owner)).encode())
        except OSError:
            path.unlink()  # a full disk
            raise
        finally:
            os.close(file)


@contextlib.contextmanager
def _alone(run: Path) -> Generator[None, None, None]:
    """Keep other processes of this machine out, so that only one of them takes over a lock that is left."""
    folder = os.open(run, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no such locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _refuse_other_owner(path: Path, *, break_lock: bool) -> None:
    """Refuse a run that another process trains; remove the lock of a process that has ended."""
    if not path.exists():
        return
    try:
        owner = _read(path)
    except BadInput as problem:
        if not break_lock:
            remedy = "If no process trains this run, add --break-lock."
            message = f"this lock of the run cannot be read: {problem.message}"
            raise BadInput(message, place=str(path), remedy=remedy) from None
        owner = None
    if owner is not None and owner.host != socket.gethostname():
        if not break_lock:
            raise _refusal(path.parent, _describe(owner), "If that process has ended, add --break-lock.")
    elif owner is not None and _is_running(owner):
        raise _refusal(path.parent, _describe(owner))
    with writing(path):
        path.unlink(missing_ok=True)


def _refusal(run: Path, message: str, more: str = "") -> BadInput:
    return BadInput(message, place=str(run), remedy=f"Wait until it has ended, or end it. {more}".strip())


def _describe(owner: Owner) -> str:
    return f"process {owner.process} on {owner.host} trains this run since {owner.since}"


def _read(path: Path) -> Owner:
    """Return the owner that a lock names; wait for one that is just being written.

    Raises:
        BadInput: When it cannot be read.
    """
    content = b""
    for _ in range(20):
        try:
            with open_regular(path) as file:
                content = file.read(LARGEST_LOCK)
        except BadInput as problem:
            raise BadInput(problem.message) from None
        if content:
            break
        time.sleep(0.05)
    return parse_json(content, _OWNER, str(path))


def _is_running(owner: Owner) -> bool:
    """Return whether a process of this machine runs, and is not a later one with the same number."""
    if owner.process < 1:
        return False
    try:
        os.kill(owner.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # that of another user
    began = _began(owner.process)
    return began is None or not owner.began or began == owner.began


def _began(process: int) -> str | None:
    """Return when a process began: the start of the machine and the clock ticks from there.

    Returns:
        Empty for a process that has ended and is waited for; None where the system does not tell.
    """
    try:
        # The name of the program, in brackets, may have spaces and brackets.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"
    except (OSError, IndexError):
        return None
