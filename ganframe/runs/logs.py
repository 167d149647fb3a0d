"""The logs of a run, as JSON Lines in the order of steps."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from ganframe.errors import BadInput, RunFailed, writing
from ganframe.files import (
    MAX_LINE_BYTES,
    MAX_LINES_BYTES,
    open_regular,
    parse_json,
    read_lines,
    too_large,
    unlink_other_names,
)

MAX_NAMES = 10_000
"""Maximum number of different names in a log."""


class PendingScalars:
    """The latest value of each scalar since the last line of a log, including scalars that are not in every step.

    Args:
        every: The number of steps from one line of the log to the next.

    Attributes:
        values: The scalars by name.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.values: dict[str, float] = {}

    def collect(self, step: int, scalars: Mapping[str, float]) -> dict[str, float] | None:
        """Add the scalars of a step; if a line is due at this step, return and clear all values, else return None."""
        self.values |= scalars
        if step % self.every:
            return None
        due, self.values = self.values, {}
        return due


def pending_scalars(state: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return the scalars that a logger had not yet written when a checkpoint was saved.

    Args:
        state: The state that hooks have saved in the checkpoint.
        key: The key of the logger in that state; if it is missing, the result is empty.
    """
    return {name: float(value) for name, value in state.get(key, {}).items()}


class Log:
    """A file of JSON Lines in the order of steps. Its complete lines can be read while the run writes more.

    Args:
        path: The file, which is created when its first line is written.

    Raises:
        RunFailed: When a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, values: Mapping[str, float]) -> None:
        """Append `values` as one line of JSON."""
        remaining = memoryview((json.dumps(values) + "\n").encode())
        if len(remaining) > MAX_LINE_BYTES:
            raise RunFailed(f"{self.path}: a line of {len(remaining):,} bytes cannot be read again; log fewer values")
        with writing(self.path):
            if self._file is None:
                self._file = FileIO(self.path, "a")
            while remaining:  # on a nearly full disk, `write` may write only a part
                remaining = remaining[self._file.write(remaining) :]

    def keep_until(self, step: int) -> None:
        """Remove the lines after `step`, and an incomplete last line."""
        if not self.path.is_file():
            return
        unlink_other_names(self.path)
        with writing(self.path), self.path.open("r+b") as file:
            kept = 0
            for line in file:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
                kept += len(line)
            file.truncate(kept)

    def sync(self) -> None:
        """Flush every line to the disk."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


LARGEST_VALUE = 1e100
"""Maximum absolute value that is read from a log; larger values are clipped to it.

Sums of the largest floats overflow, and matplotlib cannot draw axes for them.
"""


def _check_keys(line: dict[str, int | float]) -> dict[str, int | float]:
    if not line.keys() >= {"step", "images"}:
        raise ValueError("a line must have `step` and `images`")
    return line


def _clamp(value: float) -> float:
    return min(max(value, -LARGEST_VALUE), LARGEST_VALUE)


Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[float, AfterValidator(_clamp)]
LOG_LINE: TypeAdapter[dict[str, float]] = TypeAdapter(Annotated[dict[str, Number], AfterValidator(_check_keys)])


def read_log(path: Path, max_lines: int | None = None) -> list[dict[str, float]]:
    """Return the complete lines of a log, which a run may still be writing; empty if the log does not exist.

    Args:
        path: The log.
        max_lines: Maximum number of lines to return; all if None. A longer log is averaged over groups of lines, each
            with the step and images of its last line. If lines are long, fewer are returned, to limit the memory.

    Raises:
        BadInput: When a line is malformed or too long, there are too many different names, or `max_lines` is None and
            the log is too large.
    """
    if not path.is_file():
        return []
    with open_regular(path) as file:
        count = longest = total = 0
        for line in read_lines(file, path):
            count, longest, total = count + 1, max(longest, len(line)), total + len(line)
        if max_lines is None and total > MAX_LINES_BYTES:
            raise too_large(path, total, MAX_LINES_BYTES)
        file.seek(0)
        lines = _parse(itertools.islice(read_lines(file, path), count), path)
        most = count if max_lines is None else min(max_lines, max(MAX_LINES_BYTES // max(longest, 1), 1))
        size = max(-(-count // max(most, 1)), 1)
        if size == 1:
            return list(lines)
        groups = itertools.groupby(enumerate(lines), key=lambda numbered_line: numbered_line[0] // size)
        return [_mean(line for _, line in group) for _, group in groups]


def _parse(lines: Iterable[bytes], path: Path) -> Iterator[dict[str, float]]:
    """Yield the values of each complete line."""
    names = set[str]()
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            continue
        values = parse_json(line, LOG_LINE, f"{path}:{number}")
        names.update(values)
        if len(names) > MAX_NAMES:
            raise BadInput(f"a log has at most {MAX_NAMES:,} names", place=f"{path}:{number}")
        yield values


def _mean(lines: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each value over some lines, with the step and images of the last line."""
    values: dict[str, list[float]] = {}
    last: Mapping[str, float] = {}
    for last in lines:
        for name, value in last.items():
            values.setdefault(name, []).append(value)
    return {name: fmean(each) for name, each in values.items()} | {name: last[name] for name in ("step", "images")}
