"""Unreadable files: a data set reports each one and returns another example in its place; the run keeps a list of them.

A data set calls `report_unreadable` while it fetches a batch, in the process of the run or in a loader worker. The
caller of `fetch` collects the reports together with the batch, so that the list has the same lines for every number of
loader workers.
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
    """The largest number of files of a data set that may be unreadable.

    Attributes:
        files: The number of files in the data set.
        max_unreadable: The largest share of unreadable files, from 0 to 1: the data set's setting of this name.
    """

    files: int
    max_unreadable: float

    @property
    def max_files(self) -> int:
        """The largest number of unreadable files."""
        return int(round(self.max_unreadable * self.files, 6))

    def error(self, count: int, listed: str, place: str = "") -> BadInput:
        """Return the error for a data set that has more unreadable files than allowed.

        Args:
            count: The number of unreadable files.
            listed: The names of these files, or the place where they are listed, for the message.
            place: The `place` of the error, such as the folder of the data set.
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
        file: The path of the file.
        reason: Why the file could not be read.
        limit: The largest number of unreadable files that its data set allows.
    """

    file: str
    reason: str
    limit: UnreadableLimit


_collected: ContextVar[list[UnreadableFile] | None] = ContextVar("collected", default=None)


def report_unreadable(file: Path | str, reason: str, limit: UnreadableLimit) -> None:
    """Report that a file cannot be read and that another example takes its place. `Dataset.fetch` calls this.

    The choice of the other example must depend on the files alone: for instance, take the next file in order that can
    be read.

    Args:
        file: The path of the file.
        reason: Why the file cannot be read.
        limit: The largest number of unreadable files that the data set allows.
    """
    unreadable = _collected.get()
    if unreadable is not None:
        unreadable.append(UnreadableFile(str(file), reason, limit))


@contextmanager
def collect_unreadable() -> Generator[list[UnreadableFile], None, None]:
    """Yield a list, to which `report_unreadable` adds every file that is reported inside the `with` block."""
    unreadable: list[UnreadableFile] = []
    token = _collected.set(unreadable)
    try:
        yield unreadable
    finally:
        _collected.reset(token)


@dataclass(frozen=True)
class QuarantineEntry:
    """One line of the list of unreadable files.

    Attributes:
        file: The path of the file.
        reason: Why the file could not be read.
        batch: The number of the first batch that needed the file.
        time: The time when the line was written, in UTC, in ISO 8601 format.
    """

    file: str
    reason: str
    batch: int
    time: str


_ENTRY = TypeAdapter(QuarantineEntry)


class Quarantine:
    """The list of the unreadable files of a run: a file of JSON Lines, with one `QuarantineEntry` a line.

    Args:
        path: The path of the list. The file is created with its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed = set[str]()

    def restore(self, batch: int) -> None:
        """Load the saved list of unreadable files, before a run starts or resumes at a batch.

        Entries of that batch and of later ones are removed: the run will try to read their files again.

        Args:
            batch: The number of the batch at which the run starts or resumes.

        Raises:
            BadInput: When the list is malformed.
            RunFailed: When the list cannot be written.
        """
        kept = [entry for entry in read_json_lines(self.path, _ENTRY) if entry.batch < batch]
        self._listed = {entry.file for entry in kept}
        if self.path.is_file():
            write_atomically(self.path, "".join(map(_to_line, kept)).encode())

    def add(self, batch: int, unreadable: Sequence[UnreadableFile]) -> None:
        """Add the files that are not in the list yet.

        Args:
            batch: The number of a batch.
            unreadable: The files that could not be read for that batch.

        Raises:
            BadInput: When the list then has more files than the data set's limit allows.
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
