"""Unreadable files: a data set reports them and gives other examples, and the run keeps a list of them.

A data set calls `report_unreadable` while it fetches, in whichever process that is. The caller of `fetch` collects the
reports beside the batch, so that the list has the same lines whatever the number of loader workers.
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
    """The number of files of a data set that may be unreadable.

    Attributes:
        files: How many files the data set has.
        max_unreadable: The data set's setting of this name: the largest share of unreadable files, from 0 to 1.
    """

    files: int
    max_unreadable: float

    @property
    def max_files(self) -> int:
        """The largest number of unreadable files."""
        return int(round(self.max_unreadable * self.files, 6))

    def error(self, count: int, listed: str, place: str = "") -> BadInput:
        """Return the error of more unreadable files than allowed.

        Args:
            count: How many.
            listed: Which, or where they are listed.
            place: See `BadInput`.
        """
        message = (
            f"{count:,} of {self.files:,} files cannot be read, "
            f"and `max_unreadable: {self.max_unreadable:g}` allows {self.max_files:,}: {listed}"
        )
        return BadInput(message, place=place, remedy="Replace or remove them, or raise `max_unreadable`.")


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be read.

    Attributes:
        file: The file.
        reason: What is wrong with it.
        limit: How many such files there may be.
    """

    file: str
    reason: str
    limit: UnreadableLimit


_collected: ContextVar[list[UnreadableFile] | None] = ContextVar("collected", default=None)


def report_unreadable(file: Path | str, reason: str, limit: UnreadableLimit) -> None:
    """Report that a file cannot be read and that another example is given in its place; for `Dataset.fetch`.

    The replacement must be a function of the files alone, such as the next one in order that can be read.

    Args:
        file: The file.
        reason: What is wrong with it.
        limit: How many such files there may be.
    """
    unreadable = _collected.get()
    if unreadable is not None:
        unreadable.append(UnreadableFile(str(file), reason, limit))


@contextmanager
def collect_unreadable() -> Generator[list[UnreadableFile], None, None]:
    """Yield a list to which every file that is reported inside is added."""
    unreadable: list[UnreadableFile] = []
    token = _collected.set(unreadable)
    try:
        yield unreadable
    finally:
        _collected.reset(token)


@dataclass(frozen=True)
class QuarantineEntry:
    """A line of the list: a file, what is wrong with it, and the batch and the time in which it was first met."""

    file: str
    reason: str
    batch: int
    time: str


_ENTRY = TypeAdapter(QuarantineEntry)


class Quarantine:
    """The list of the unreadable files of a run, as lines of JSON: which, why, and in which batch and when first met.

    Args:
        path: The file of the list, created with its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed = set[str]()

    def restore(self, batch: int) -> None:
        """Load the saved list of unreadable files, to resume at a batch.

        Entries from that batch on are dropped: the resumed run reads their files again.

        Args:
            batch: The number of the next batch.

        Raises:
            BadInput: When the list is malformed.
        """
        kept = [entry for entry in read_json_lines(self.path, _ENTRY) if entry.batch < batch]
        self._listed = {entry.file for entry in kept}
        if self.path.is_file():
            write_atomically(self.path, "".join(map(_to_line, kept)).encode())

    def add(self, batch: int, unreadable: Sequence[UnreadableFile]) -> None:
        """Add the files that are not in the list yet.

        Args:
            batch: The number of the batch for which they were to be read.
            unreadable: The files.

        Raises:
            BadInput: When the list has more files than the data set's limit allows.
        """
        for found in unreadable:
            if found.file in self._listed:
                continue
            self._listed.add(found.file)
            with self.path.open("a", encoding="utf-8") as file:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                file.write(_to_line(QuarantineEntry(file=found.file, reason=found.reason, batch=batch, time=now)))
            if len(self._listed) > found.limit.max_files:
                listed = f"{found.file} ({found.reason}); {self.path} lists them all"
                raise found.limit.error(len(self._listed), listed).within("data")


def _to_line(entry: QuarantineEntry) -> str:
    return json.dumps(asdict(entry)) + "\n"
