"""Atomic writes, and bounded reads of the files of run folders.

A run folder may come from anybody. Its files are read only through this module: what is no regular file, is larger than
its kind of file can be, or has content that a run would not write, raises `BadInput`. Files are written anew and never
over what is there, so that no link leads a write to another file.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import stat
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from ganframe.errors import BadInput, writing

T = TypeVar("T")

MAX_JSON_BYTES = 4 * 2**20
"""The largest size of a JSON file of a run, in bytes, other than of its checkpoints."""

MAX_LINES_BYTES = 16 * 2**20
"""The largest size of a JSON Lines file that is read whole, in bytes."""

MAX_LINE_BYTES = 2**20
"""The largest size of one line of a JSON Lines file, in bytes."""

PIPE_SECONDS = 5
"""The longest time to wait for a process that opens a pipe for writing, in seconds."""

# Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
_READ_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it, so that the file is never seen half written.

    Raises:
        RunFailed: When the file cannot be written; an older file at `path` is left as it was.
    """
    draft = path.with_name(f".{path.name}.draft")
    with writing(path):
        try:
            write_synced(draft, content)
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file in place of whatever is there, and flush it to the disk."""
    with create_new(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def create_new(path: Path) -> BinaryIO:
    """Remove whatever is at a path, and open a new file there.

    What was there may be another name of some other file (a link), which must not be written into.
    """
    remove(path)
    return os.fdopen(os.open(path, _NEW_FLAGS, 0o666), "wb")


def remove(path: Path) -> None:
    """Remove a file, a folder or a link, if there is one; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def unlink_other_names(path: Path) -> None:
    """Replace a file that has several names (hard links) by a copy of its own, so that it can be appended to.

    Raises:
        RunFailed: When the copy cannot be written.
    """
    if not path.is_file() or path.stat().st_nlink < 2:
        return
    draft = path.with_name(f".{path.name}.draft")
    with writing(path):
        with path.open("rb") as file, create_new(draft) as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())
        draft.replace(path)


@contextlib.contextmanager
def open_regular(path: Path, max_bytes: int | None = None, what: str = "this file") -> Generator[BinaryIO, None, None]:
    """Open a file for reading; refuse what is no regular file, without waiting for it, and what is too large.

    Args:
        path: The file.
        max_bytes: The largest size of the file; any when None.
        what: The words for the file in messages.

    Raises:
        BadInput: When the file is missing, is a pipe, a device or a folder, or is larger than `max_bytes`.
    """
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _READ_FLAGS))
    except OSError as problem:
        raise BadInput(f"{what} cannot be read: {problem.strerror}", place=str(path)) from None
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise BadInput(f"{what} cannot be read: it is {kind}", place=str(path), remedy="Remove it.")
        if max_bytes is not None and status.st_size > max_bytes:
            raise too_large(path, status.st_size, max_bytes)
        try:
            yield file
        except OSError as problem:
            raise BadInput(f"{what} cannot be read: {problem.strerror}", place=str(path)) from None


def too_large(path: Path, size: int, max_bytes: int) -> BadInput:
    """Return the error for a file that is larger than its kind of file can be."""
    message = f"this file has {size:,} bytes, and one that a run writes has at most {max_bytes:,}"
    return BadInput(message, place=str(path), remedy="Take it from a whole copy of the run.")


def read_bytes(path: Path, max_bytes: int, what: str = "this file") -> bytes:
    """Return the content of a file.

    Args:
        path: The file.
        max_bytes: The largest size of the file.
        what: The words for the file in messages.

    Raises:
        BadInput: When the file is missing, is no regular file, or is larger than `max_bytes`.
    """
    with open_regular(path, max_bytes, what) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:  # it has grown since it was opened
        raise too_large(path, len(content), max_bytes)
    return content


def read_pipe(path: Path, max_bytes: int) -> bytes:
    """Return what is written into a pipe, up to `max_bytes`.

    Args:
        path: The named pipe, or a path such as `/dev/stdin` that leads to a pipe.
        max_bytes: The largest number of bytes to read.

    Raises:
        BadInput: When no process opens the pipe for writing within `PIPE_SECONDS`.
        OSError: When the pipe cannot be opened or read.
    """
    content, written = b"", False
    deadline = time.monotonic() + PIPE_SECONDS
    pipe = os.open(path, os.O_RDONLY | _READ_FLAGS)
    try:
        while len(content) < max_bytes:
            try:
                chunk = os.read(pipe, max_bytes - len(content))
            except BlockingIOError:  # a process has the pipe open, and has written nothing yet
                written = True
                select.select([pipe], [], [])
                continue
            content, written = content + chunk, written or bool(chunk)
            if not chunk and written:
                break
            if not written and time.monotonic() > deadline:
                message = f"this is a pipe, and no process has written into it for {PIPE_SECONDS} seconds"
                raise BadInput(message, place=str(path))
            if not written:
                time.sleep(0.02)
    finally:
        os.close(pipe)
    return content


def read_text(path: Path, max_bytes: int) -> str:
    """Return the content of a file of UTF-8 text.

    Args:
        path: The file.
        max_bytes: The largest size of the file.

    Raises:
        BadInput: When the file is missing, is no regular file, is larger than `max_bytes`, or is no UTF-8 text.
    """
    try:
        return read_bytes(path, max_bytes).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("this is not UTF-8 text", place=str(path)) from None


def read_json(path: Path, adapter: TypeAdapter[T], max_bytes: int = MAX_JSON_BYTES) -> T:
    """Return the value of a JSON file.

    Args:
        path: The file.
        adapter: The type of the value.
        max_bytes: The largest size of the file.

    Raises:
        BadInput: When the file is missing, is too large, is not JSON, or has a value of another type.
    """
    return parse_json(read_bytes(path, max_bytes), adapter, str(path))


def read_json_lines(path: Path, adapter: TypeAdapter[T]) -> list[T]:
    """Return the values of a JSON Lines file, one for each line; an empty list when there is no file.

    A last line without a newline at its end is left out: the run was killed while it was writing the line.

    Args:
        path: The file.
        adapter: The type of each value.

    Raises:
        BadInput: When the file is too large, or a line is not JSON or has a value of another type. The error names the
            line.
    """
    if not path.is_file():
        return []
    with open_regular(path, MAX_LINES_BYTES) as file:
        numbered = enumerate(read_lines(file, path), start=1)
        return [parse_json(line, adapter, f"{path}:{number}") for number, line in numbered if line.endswith(b"\n")]


def read_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, each with its newline.

    Args:
        file: The open file.
        path: Its path, for messages.

    Raises:
        BadInput: When a line is longer than any that a run writes.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise BadInput(f"this line has more than {MAX_LINE_BYTES:,} bytes", place=f"{path}:{number}")
        yield line


def parse_json(content: bytes, adapter: TypeAdapter[T], place: str) -> T:
    """Return the value of a JSON text.

    Args:
        content: The text.
        adapter: The type of the value.
        place: The file of the text, for the message of the error.

    Raises:
        BadInput: When the text is not JSON or has a value of another type.
    """
    try:
        return adapter.validate_json(content, strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f" at {part!r}" for part in first["loc"][:1])
        raise BadInput(f"this is not what a run writes: {first['msg']}{where}", place=place) from None
    except BadInput as problem:  # that of a value which checks itself has no place
        raise BadInput(problem.message, place=place) from None
