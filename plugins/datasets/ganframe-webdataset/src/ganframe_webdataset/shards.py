"""The members of tar files, found without unpacking anything."""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from ganframe.data import BadInput

LARGEST_HEADER = 2**20
"""The largest size of a header of a tar file, such as a long name, in bytes."""

END_MARK = 2 * tarfile.BLOCKSIZE
"""The size of the zeros that end a tar file, in bytes."""

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")

MAX_SHARDS = 100_000
"""The largest number of shards."""


@dataclass(frozen=True)
class Member:
    """A file in a shard.

    Attributes:
        shard: The shard.
        name: The name of the member, which is never used as a path.
        offset: Where its content begins in the shard, in bytes.
        size: The size of the content, in bytes.
    """

    shard: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the content."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def find_shards(path: Path) -> list[Path]:
    """Return the shards that a path stands for, in order.

    Args:
        path: A tar file, a folder of them, or several with braces: `{000..012}` or `{a,b}`.

    Raises:
        BadInput: When there is no such file or folder, no shard in the folder, or an empty range in braces.
    """
    if path.is_dir():
        shards = sorted(each for each in path.iterdir() if each.suffix == ".tar" and not each.name.startswith("."))
        if not shards:
            raise BadInput("there are no .tar files in this folder", place=str(path))
        return shards
    shards = (
        [path] if path.exists() else [Path(each) for each in itertools.islice(_expanded(str(path)), MAX_SHARDS + 1)]
    )
    if len(shards) > MAX_SHARDS:
        raise BadInput(f"these are more than {MAX_SHARDS:,} shards", place=str(path))
    if not shards:
        remedy = "A range counts up: `{000..012}`."
        raise BadInput("the braces of this path stand for no shard", place=str(path), remedy=remedy)
    missing = [shard for shard in shards if not shard.is_file()]
    if missing:
        remedy = f"The path is relative to {Path.cwd()}." if not path.is_absolute() else ""
        raise BadInput("there is no such file", place=str(missing[0]), remedy=remedy)
    return shards


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the texts of a pattern with braces, in order."""
    found = BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    numbers = RANGE.fullmatch(found[1])
    if numbers is None:
        options = iter(found[1].split(","))
    else:
        first, last = numbers.groups()
        options = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    for option in options:
        yield from _expanded(pattern[: found.start()] + option + pattern[found.end() :])


def list_members(shard: Path) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Return the files in a shard, hard links among them, and the names of its other links and devices.

    The index of an unchanged shard is kept.

    Raises:
        BadInput: When the shard is no tar file, is compressed, is damaged, or is cut off.
    """
    status = shard.stat()
    return _list_members(shard, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _list_members(shard: Path, size: int, changed: int) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    members, others = list[Member](), list[str]()
    files = dict[str, Member]()
    try:
        with shard.open("rb") as file, tarfile.TarFile(fileobj=_Headers(file), mode="r") as archive:
            for count, each in enumerate(archive):
                if each.size < 0 or count > size // tarfile.BLOCKSIZE:
                    raise ValueError("its headers contradict each other")
                if each.isreg() and not each.issparse():
                    files[each.name] = Member(shard, each.name, each.offset_data, each.size)
                    members.append(files[each.name])
                elif each.islnk() and each.linkname in files:  # a hard link: a second name of a file before it
                    target = files[each.linkname]
                    members.append(Member(shard, each.name, target.offset, target.size))
                elif not each.isdir():
                    others.append(each.name)
            _check_end(file, archive.offset)
    except (OSError, tarfile.TarError, ValueError, OverflowError, EOFError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        remedy = (
            "A compressed shard (.tar.gz) has to be unpacked to a .tar file; replace one that is damaged or cut off."
        )
        raise BadInput(f"this tar file cannot be read: {reason}", place=str(shard), remedy=remedy) from None
    return tuple(members), tuple(others)


def _check_end(file: IO[bytes], offset: int) -> None:
    """Check that a tar file ends with its end mark: two blocks of zeros, and zeros up to the end of the record.

    Otherwise members may be missing: `tarfile` stops at the end of the file, and at the first block of zeros.

    Args:
        file: The file.
        offset: Where the members end, in bytes.

    Raises:
        ValueError: When the end mark is missing, or anything else is behind it.
    """
    file.seek(offset)
    end = file.read(END_MARK + tarfile.RECORDSIZE + 1)
    if end[: tarfile.BLOCKSIZE].strip(b"\0"):
        raise ValueError(f"it is damaged at byte {offset:,}")
    if len(end) < END_MARK:
        raise ValueError(f"it is cut off at byte {offset + len(end):,}, without an end mark")
    if end.strip(b"\0"):
        place = offset + len(end) - len(end.lstrip(b"\0"))
        raise ValueError(f"its members end at byte {offset:,}, and there is more at byte {place:,}")
    if len(end) > END_MARK + tarfile.RECORDSIZE:
        raise ValueError(f"more than {tarfile.RECORDSIZE:,} zeros follow its end mark at byte {offset:,}")


class _Headers(io.RawIOBase):
    """A tar file of which only headers are read.

    A header says how long it is, so a hostile one would have the rest of the file read into memory.

    Args:
        file: The file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.file = file

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `LARGEST_HEADER` bytes."""
        if not 0 <= size <= LARGEST_HEADER:
            raise ValueError(f"it has a header of more than {LARGEST_HEADER:,} bytes")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self.file.tell()
