"""Atomic writes, and reading of the JSON files of run folders.

A run folder may come from anybody, so content that a run would not write raises `BadInput`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ganframe.errors import BadInput, writing

T = TypeVar("T")


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
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path, adapter: TypeAdapter[T]) -> T:
    """Return the value of a JSON file.

    Args:
        path: The file.
        adapter: The type of the value.

    Raises:
        BadInput: When the file is missing, is not JSON, or has a value of another type.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise BadInput(f"this file cannot be read: {problem.strerror}", place=str(path)) from None
    return parse_json(content, adapter, str(path))


def read_json_lines(path: Path, adapter: TypeAdapter[T]) -> list[T]:
    """Return the values of a JSON Lines file, one for each line; an empty list when there is no file.

    A last line without a newline at its end is left out: the run was killed while it was writing the line.

    Args:
        path: The file.
        adapter: The type of each value.

    Raises:
        BadInput: When a line is not JSON or has a value of another type. The error names the line.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [parse_json(line, adapter, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


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
