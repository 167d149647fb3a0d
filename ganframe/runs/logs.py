"""The logs of a run: lines of JSON in the order of steps, and scalars that are not written yet."""

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
"""The largest number of different names in a log."""


class PendingScalars:
    """The latest value of each scalar since a log was last written.

    Some scalars have no value at most steps, such as those of lazy terms.

    Args:
        every: The number of steps from one line of the log to the next.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.values: dict[str, float] = {}

    def collect(self, step: int, scalars: Mapping[str, float]) -> dict[str, float] | None:
        """Add the scalars of a step; return and clear all values if the log is to be written now, else return None."""
        self.values |= scalars
        if step % self.every:
            return None
        due, self.values = self.values, {}
        return due


def pending_scalars(state: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return the scalars that a logger had not written yet when a checkpoint was saved.

    Args:
        state: The state of the hooks in the checkpoint.
        key: The key of the logger in that state; when it is missing, the result is empty.
    """
    return {name: float(value) for name, value in state.get(key, {}).items()}


class Log:
    """A file of JSON lines in the order of steps; its complete lines can be read while the run goes on.

    Args:
        path: The file, which is created when its first line is written.

    Raises:
        RunFailed: When a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, values: Mapping[str, float]) -> None:
        """Append one line of JSON."""
        remaining = memoryview((json.dumps(values) + "\n").encode())
        if len(remaining) > MAX_LINE_BYTES:
            raise RunFailed(f"{self.path}: a line of {len(remaining):,} bytes cannot be read again; log fewer values")
        with writing(self.path):
            if self._file is None:
                self._file = FileIO(self.path, "a")
            while remaining:  # on a nearly full disk, only a part is written
                remaining = remaining[self._file.write(remaining) :]

    def keep_until(self, step: int) -> None:
        """Cut off the lines of the steps after `step`, and an incomplete last line."""
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
"""The largest absolute value that is read from a log; a larger value is replaced by it.

Sums of the largest floats overflow, and matplotlib finds no ticks for them.
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
    """Return the complete lines of a log, which may be in use by a run; empty when there is no log.

    Args:
        path: The log.
        max_lines: How many lines to return at most; all when None. A longer log is cut into groups of lines, and each
            group becomes one line: the means of its values, with the step and images of its last line. Where lines are
            long, fewer are returned, so that they take a bounded memory.

    Raises:
        BadInput: When a line is malformed or too long, the error has its number; when there are too many names; when
            all of a log is to be returned that is too large for it.
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
    """Return the means of the values of some lines, with the step and images of the last one."""
    values: dict[str, list[float]] = {}
    last: Mapping[str, float] = {}
    for last in lines:
        for name, value in last.items():
            values.setdefault(name, []).append(value)
    return {name: fmean(each) for name, each in values.items()} | {name: last[name] for name in ("step", "images")}
