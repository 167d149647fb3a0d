"""Files that cannot be read: a data set refuses them and gives others, and the run keeps a list of them.

A data set calls `refuse` while it fetches, in whichever process that is. Whoever asked for the batch collects what was
refused beside it, so that the list has the same lines whatever the number of loader workers.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from ganframe.errors import BadInput
from ganframe.files import read_json_lines, write_atomically


@dataclass(frozen=True)
class UnreadableLimit:
    """How many files of a data set may be unreadable.

    Attributes:
        files: How many files the data set has.
        max_unreadable: The data set's setting of this name: the share of them that may be, from 0 to 1.
    """

    files: int
    max_unreadable: float

    @property
    def most(self) -> int:
        """How many files that is."""
        return int(round(self.max_unreadable * self.files, 6))

    def exceeded(self, count: int, listed: str, place: str = "") -> BadInput:
        """The problem that more files are unreadable.

        Args:
            count: How many.
            listed: Which, or where they are listed.
            place: See `BadInput`.
        """
        message = (
            f"{count:,} of {self.files:,} files cannot be read, "
            f"and `max_unreadable: {self.max_unreadable:g}` allows {self.most:,}: {listed}"
        )
        return BadInput(message, place=place, remedy="Replace or remove them, or raise `max_unreadable`.")


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be read.

    Attributes:
        file: The file.
        reason: What is wrong with it.
        tolerance: How many such files there may be.
    """

    file: str
    reason: str
    tolerance: UnreadableLimit


_collected: ContextVar[list[UnreadableFile] | None] = ContextVar("collected", default=None)


def report_unreadable(file: Path | str, reason: str, tolerance: UnreadableLimit) -> None:
    """Say that a file cannot be read and that another example is given in its place; for `Dataset.fetch`.

    What stands in must be a function of the files alone, such as the next one in order that can be read.

    Args:
        file: The file.
        reason: What is wrong with it.
        tolerance: How many such files there may be.
    """
    unreadable = _collected.get()
    if unreadable is not None:
        unreadable.append(UnreadableFile(str(file), reason, tolerance))


@contextmanager
def collect_unreadable() -> Generator[list[UnreadableFile], None, None]:
    """The list to which every refusal inside is added."""
    unreadable: list[UnreadableFile] = []
    token = _collected.set(unreadable)
    try:
        yield unreadable
    finally:
        _collected.reset(token)


@dataclass(frozen=True)
class Entry:
    """A line of the list: a file, what is wrong with it, and the batch and the time in which it was first met."""

    file: str
    reason: str
    batch: int
    time: str


ENTRY = TypeAdapter(Entry)


class Quarantine:
    """The list of a run, a line of JSON for each file: which, why, and in which batch and when it was first met.

    Args:
        path: The list; there is no such file before there is anything to list.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = set[str]()

    def reopen(self, batch: int) -> None:
        """Take up the list as it was before a batch; what was met from there on will be met again.

        Raises:
            BadInput: When the list is not as a run writes it.
        """
        kept = [entry for entry in read_json_lines(self.path, ENTRY) if entry.batch < batch]
        self._known = {entry.file for entry in kept}
        if self.path.is_file():
            write_atomically(self.path, "".join(map(_line, kept)).encode())

    def take(self, batch: int, unreadable: Sequence[UnreadableFile]) -> None:
        """Add the files that are new to the list.

        Args:
            batch: The number of the batch for which they were to be read.
            refusals: The files.

        Raises:
            BadInput: When there are more than the data set's tolerance allows.
        """
        for each in unreadable:
            if each.file in self._known:
                continue
            self._known.add(each.file)
            with self.path.open("a", encoding="utf-8") as file:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                file.write(_line(Entry(file=each.file, reason=each.reason, batch=batch, time=now)))
            if len(self._known) > each.tolerance.most:
                listed = f"{each.file} ({each.reason}); {self.path} lists them all"
                raise each.tolerance.exceeded(len(self._known), listed).within("data")


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"
