"""JSON from run folders, which may come from anybody: what is not as it should be is `BadInput` with its place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ganframe.errors import BadInput, writing


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody sees half of it.

    Raises:
        RunFailed: When it cannot be written; what was there before still is.
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
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


T = TypeVar("T")


def read_json(path: Path, shape: TypeAdapter[T]) -> T:
    """The value of a file.

    Args:
        path: The file.
        shape: What the value has to be.

    Raises:
        BadInput: When the file is missing, no JSON, or another value.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise BadInput(f"this file cannot be read: {problem.strerror}", place=str(path)) from None
    return parse_json(content, shape, str(path))


def read_json_lines(path: Path, shape: TypeAdapter[T]) -> list[T]:
    """The values of a file with one a line; none when there is no file.

    A last line without its end was being written when a run was killed, and is left out.

    Args:
        path: The file.
        shape: What each value has to be.

    Raises:
        BadInput: With the number of the line that is no JSON or another value.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [parse_json(line, shape, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def parse_json(content: bytes, shape: TypeAdapter[T], place: str) -> T:
    """The value of a text.

    Args:
        content: The text.
        shape: What the value has to be.
        place: Where the text is from, for the message.

    Raises:
        BadInput: When it is no JSON or another value.
    """
    try:
        return shape.validate_json(content, strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f" at {part!r}" for part in first["loc"][:1])
        raise BadInput(f"this is not as a run writes it: {first['msg']}{where}", place=place) from None
