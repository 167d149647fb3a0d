"""The steps and checksums of the lines of a log, with which lost, repeated or changed lines are detected."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from ganframe.files import open_regular, read_lines

MAX_GROUPS = 256
"""Maximum number of groups of lines; each group has one checksum."""
MAX_LINES = 10_000_000
"""Maximum number of lines of a log."""
MAX_NAMED_STEPS = 5
"""Maximum number of steps that a message names for one problem."""

StepRange = tuple[int, int, Annotated[int, Field(ge=1)]]
"""A range of steps at equal distances: the first step, the last step and the distance."""


def _check_size(ranges: list[StepRange]) -> list[StepRange]:
    if sum(len(range(first, last + 1, distance)) for first, last, distance in ranges) > MAX_LINES:
        raise ValueError(f"a log of more than {MAX_LINES:,} lines")
    return ranges


@dataclass(frozen=True)
class LogLines:
    """The steps and checksums of the lines of a log, up to some step.

    Attributes:
        steps: The steps of the lines in order, as ranges.
        checksums: CRC-32 of each group of lines. The groups have equal size; the last may be smaller.
    """

    steps: Annotated[list[StepRange], AfterValidator(_check_size)]
    checksums: list[int]

    def problems(self, log: Path, until: int) -> list[str]:
        """Compare a log with these lines, and describe each difference: "no lines of the steps 31, 32".

        Args:
            log: The log.
            until: The last step to compare.
        """
        now = LogTally(log)
        now.update()
        found, checksums = now.up_to(until)
        expected = np.concatenate([np.arange(0), *(np.arange(a, b + 1, every) for a, b, every in self.steps)])
        if np.array_equal(expected, found):
            size = group_size(len(found))
            groups = zip(self.checksums, _grouped(checksums), strict=False)
            changed = [number for number, (before, after) in enumerate(groups) if before != after]
            return [f"other lines of the steps {_spans(found, changed, size)}"] if changed else []
        (was, counts), (has, numbers) = np.unique(expected, return_counts=True), np.unique(found, return_counts=True)
        before, after = dict(zip(was, counts, strict=True)), dict(zip(has, numbers, strict=True))
        sorts = {
            "no lines": [step for step in was if step not in after],
            "repeated lines": [step for step in has if after[step] > before.get(step, after[step])],
            "lines that the run has not written,": [step for step in has if step not in before],
            "too few lines": [step for step in was if 0 < after.get(step, 0) < before[step]],
        }
        said = [f"{what} of {_listed(steps)}" for what, steps in sorts.items() if steps]
        return said or ["lines in another order"]


class LogTally:
    """The steps and checksums of the lines of a log that is still being written.

    Args:
        log: The log.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.reset()

    def reset(self) -> None:
        """Forget what was read. Call this when lines were removed from the log."""
        self._offset = 0
        self._steps: list[int] = []
        self._checksums: list[int] = []

    def update(self) -> None:
        """Read the lines added since the last update; all lines if the log has become shorter."""
        size = self.log.stat().st_size if self.log.is_file() else 0
        if size < self._offset:
            self.reset()
        if size == self._offset:
            return
        with open_regular(self.log) as file:
            file.seek(self._offset)
            for line in read_lines(file, self.log):
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._steps.append(_step(line))
                self._checksums.append(zlib.crc32(line))

    def up_to(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the step and the checksum of each line up to and including a step."""
        steps, checksums = np.array(self._steps, dtype=np.int64), np.array(self._checksums, dtype=np.uint32)
        return steps[steps <= step], checksums[steps <= step]

    def lines(self, until: int) -> LogLines:
        """Return the lines up to and including a step."""
        steps, checksums = self.up_to(until)
        return LogLines(_ranges(steps.tolist()), _grouped(checksums))


def group_size(lines: int) -> int:
    """Return the number of lines in a group, which share a checksum, for a log of this number of lines."""
    return max(1, -(-lines // MAX_GROUPS))


def _step(line: bytes) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return 0  # runs do not write such a line, and it is refused when a run is resumed


def _grouped(checksums: np.ndarray) -> list[int]:
    size = group_size(len(checksums))
    return [zlib.crc32(checksums[start : start + size].tobytes()) for start in range(0, len(checksums), size)]


def _ranges(steps: list[int]) -> list[StepRange]:
    ranges = list[StepRange]()
    for step in steps:
        first, last, distance = ranges[-1] if ranges else (0, 0, 0)
        if ranges and (step - last == distance or (first == last and step > last)):
            ranges[-1] = first, step, step - last
        else:
            ranges.append((step, step, 1))
    return ranges


def _spans(steps: np.ndarray, groups: list[int], size: int) -> str:
    ends = [(steps[group * size], steps[min((group + 1) * size, len(steps)) - 1]) for group in groups]
    spans = [f"{first}" if first == last else f"{first} to {last}" for first, last in ends[:MAX_NAMED_STEPS]]
    return ", ".join(spans) + (f" and {len(ends) - MAX_NAMED_STEPS} more places" if len(ends) > len(spans) else "")


def _listed(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"the step {steps[0]}"
    if len(steps) > MAX_NAMED_STEPS:
        return f"{len(steps):,} steps from {steps[0]} to {steps[-1]}"
    return f"the steps {', '.join(map(str, steps))}"
