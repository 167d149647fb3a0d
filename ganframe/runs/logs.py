"""Loggers of the core: lines of JSON, and a progress bar."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from ganframe.errors import writing
from ganframe.files import parse_json


class PendingScalars:
    """The latest value of each scalar since a log was written to: a lazy term has one in a few steps only.

    Args:
        every: The log is written to at each k-th step.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.values: dict[str, float] = {}

    def take(self, step: int, scalars: Mapping[str, float]) -> dict[str, float] | None:
        """Take in a step's; all that are to be written where the log is due, else None."""
        self.values |= scalars
        if step % self.every:
            return None
        due, self.values = self.values, {}
        return due


def pending_scalars(state: Mapping[str, Any], key: str) -> dict[str, float]:
    """What a log had not written when a checkpoint was saved; nothing where it was not there."""
    return {name: float(value) for name, value in state.get(key, {}).items()}


class Log:
    """A file of JSON lines in the order of steps, of which a reader may read every whole line at any time.

    Args:
        path: The file; made with its first line.

    Raises:
        RunFailed: When a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, values: Mapping[str, float]) -> None:
        """Write a line."""
        left = memoryview((json.dumps(values) + "\n").encode())
        with writing(self.path):
            if self._file is None:
                self._file = FileIO(self.path, "a")
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]

    def keep_until(self, step: int) -> None:
        """Cut off the lines of later steps, and one that was not written to its end."""
        if not self.path.is_file():
            return
        with writing(self.path), self.path.open("r+b") as file:
            kept = 0
            for line in file:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
                kept += len(line)
            file.truncate(kept)

    def sync(self) -> None:
        """See that the disk has every line."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _placed(line: dict[str, int | float]) -> dict[str, int | float]:
    if not line.keys() >= {"step", "images"}:
        raise ValueError("a line has a `step` and its `images`")
    return line


def _drawable(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


LARGEST = 1e100
"""What a larger number is read as: sums of the largest floats overflow, and matplotlib finds no ticks for them."""


Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[float, AfterValidator(_drawable)]


LINE: TypeAdapter[dict[str, float]] = TypeAdapter(Annotated[dict[str, Number], AfterValidator(_placed)])


def read_log(path: Path, most: int | None = None) -> list[dict[str, float]]:
    """The lines of a log, also while it is written; none when there is no log.

    Args:
        path: The log.
        most: How many lines to give. Where there are more, a line stands for several: it has the means of their
            values, with step and images of the last.

    Raises:
        BadInput: When a line is not as a run writes it.
    """
    if not path.is_file():
        return []
    with path.open("rb") as file:
        count = sum(1 for _ in file)
        file.seek(0)
        numbered = enumerate(itertools.islice(file, count), start=1)
        whole = (parse_json(line, LINE, f"{path}:{number}") for number, line in numbered if line.endswith(b"\n"))
        if most is None or count <= most:
            return list(whole)
        size = -(-count // most)
        parts = itertools.groupby(enumerate(whole), key=lambda placed: placed[0] // size)
        return [_mean([line for _, line in part]) for _, part in parts]


def _mean(lines: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for line in lines for name in line)
    means = {name: fmean(line[name] for line in lines if name in line) for name in names}
    return means | {name: lines[-1][name] for name in ("step", "images")}
