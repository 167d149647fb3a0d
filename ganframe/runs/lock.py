"""The lock of a run, so that one process at a time trains it. A lock left by a process that has ended is taken over."""

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
"""Maximum number of bytes that are read from a lock."""


@dataclass(frozen=True)
class Owner:
    """The process that trains a run.

    Attributes:
        process: Its process ID.
        host: The name of its machine.
        since: When it took the lock, in UTC, in ISO 8601 format.
        began: When it started, which differs from that of a later process with the same ID; empty if unknown.
    """

    process: int
    host: str
    since: str
    began: str


_OWNER = TypeAdapter(Owner)


def this_process() -> Owner:
    """Return this process as the owner of a lock, taken now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(os.getpid(), socket.gethostname(), now, _began(os.getpid()) or "")


@contextlib.contextmanager
def locked(run: Path, *, break_lock: bool = False) -> Generator[None, None, None]:
    """Hold the lock of a run inside the `with` block.

    Args:
        run: The run folder.
        break_lock: Whether to take the lock from a process of another machine, which may or may not still be running.

    Raises:
        BadInput: When another process holds the lock.
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
    """Release the lock that this process holds, at the end of the `with` block, unless another process has taken it."""
    try:
        yield
    finally:
        # The folder may be gone or read-only by now. Then the next process will find that this one has ended.
        with contextlib.suppress(OSError, BadInput):
            if _read(run / LOCK_FILE) == owner:
                (run / LOCK_FILE).unlink()


def write_lock(run: Path, owner: Owner) -> None:
    """Create the lock file of a run.

    Raises:
        BadInput: When it exists.
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
    """Keep other processes of this machine out of the `with` block, so that only one takes over an abandoned lock."""
    folder = os.open(run, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not support `flock`
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _refuse_other_owner(path: Path, *, break_lock: bool) -> None:
    """Refuse a run that another process trains; remove a lock whose process has ended."""
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
    """Return the owner that a lock names, after waiting for it to be written.

    Raises:
        BadInput: When the lock cannot be read.
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
    """Return whether a process of this machine is still running; a later process with its ID does not count."""
    if owner.process < 1:
        return False
    try:
        os.kill(owner.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # a process of another user
    began = _began(owner.process)
    return began is None or not owner.began or began == owner.began


def _began(process: int) -> str | None:
    """Return when a process started, as the ID of the machine's boot and the clock ticks since.

    Returns:
        The time; empty for a zombie process; None if the system does not provide it.
    """
    try:
        # The program's name, in brackets, may contain spaces and brackets.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"
    except (OSError, IndexError):
        return None
