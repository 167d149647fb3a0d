"""Images of a zip file, which are read in place: nothing is extracted."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ganframe.config import within
from ganframe.data import (
    BadInput,
    ImageData,
    LeftOutNames,
    Picture,
    is_named_as_image,
    label_by_subfolder,
    open_images,
    open_picture,
)
from ganframe_archives import ImageZip

LARGEST_MEMBER = 2**29
"""The largest size of an image file of a zip file, in bytes, after unpacking."""

ENCRYPTED = 0x1
"""The flag of an encrypted member."""


def open_zip(config: ImageZip) -> ImageData:
    """Open the images of a zip file.

    Raises:
        BadInput: When it is no zip file, has no images, or too many members are not images.
    """
    listing = list_zip(config.path, config.with_labels)
    labels = label_by_subfolder(listing.names, listing.place)[1] if config.with_labels else None
    return open_images(config, ZipSource(config.path, listing.folder), listing.names, listing.left_out, labels)


@dataclass(frozen=True)
class ZipListing:
    """The content of a zip file.

    Attributes:
        file: The file.
        folder: The folder that all images are in, with a slash at its end; empty if there is no such folder.
        names: The paths of the images in that folder, sorted as those of a folder are.
        left_out: The members that are no example, by the reason.
    """

    file: Path
    folder: str
    names: list[str]
    left_out: LeftOutNames

    @property
    def place(self) -> str:
        """The file and the folder in it, for messages."""
        return f"{self.file}: {self.folder}" if self.folder else str(self.file)


def list_zip(file: Path, with_labels: bool = False) -> ZipListing:
    """List the images of a zip file by the names of its members, which are never used as paths.

    Args:
        file: The file.
        with_labels: Whether a folder is a class, which is part of the names even if it is the only one.

    Raises:
        BadInput: When it is no zip file, or has no images.
    """
    with within("path"):
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise BadInput(f"this zip file cannot be read: {reason}", place=str(file)) from None
        images, left_out = _sorted_out(members)
        if not images:
            raise BadInput("there are no images in this zip file", place=str(file))
    folder = _common_folder(images)
    if with_labels and not any("/" in name.removeprefix(folder) for name in images):
        folder = ""
    names = sorted((name.removeprefix(folder) for name in images), key=lambda name: name.split("/"))
    return ZipListing(file, folder, names, {reason: sorted(each) for reason, each in left_out.items()})


def _sorted_out(members: Iterable[zipfile.ZipInfo]) -> tuple[dict[str, zipfile.ZipInfo], dict[str, list[str]]]:
    """Return the images by their names, of several with one name the first, and the other names by the reason."""
    images = dict[str, zipfile.ZipInfo]()
    left_out: dict[str, list[str]] = {}
    for member in members:
        if member.is_dir():
            continue
        reason = "members of the same name as another" if member.filename in images else _reason(member)
        if reason:
            left_out.setdefault(reason, []).append(member.filename)
        else:
            images[member.filename] = member
    return images, left_out


def _reason(member: zipfile.ZipInfo) -> str:
    """Return why a member is no example; empty if it is one."""
    parts = member.filename.split("/")
    mode = member.external_attr >> 16
    if any(part in ("", "..", ".") or "\\" in part for part in parts):
        return "members whose names are no relative paths"
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return "hidden"
    if not is_named_as_image(PurePosixPath(member.filename)):
        return "files of other types"
    if mode and stat.S_ISLNK(mode):
        return "links"
    if member.flag_bits & ENCRYPTED:
        return "encrypted members"
    if member.file_size > LARGEST_MEMBER:
        return f"members of more than {LARGEST_MEMBER:,} bytes"
    return ""


def _common_folder(names: Iterable[str]) -> str:
    """Return the folder that all of these paths are in, with a slash at its end, or nothing."""
    names = list(names)
    folder, slash, _ = names[0].partition("/")
    return folder + slash if slash and all(name.startswith(folder + slash) for name in names) else ""


@dataclass(frozen=True)
class _OpenZip:
    """A zip file as one process has it open.

    Attributes:
        process: The number of the process.
        archive: The open file.
        images: The members that are images, by their names.
    """

    process: int
    archive: zipfile.ZipFile
    images: Mapping[str, zipfile.ZipInfo]


class ZipSource:
    """The images of a zip file. Each process opens the file once.

    Args:
        file: The file.
        folder: What the names of members begin with, before those of the images.
    """

    def __init__(self, file: Path, folder: str) -> None:
        self.file, self.folder = file, folder
        self._opened: _OpenZip | None = None

    def open(self, name: str) -> AbstractContextManager[Picture]:
        """Open the image of a member."""
        return open_picture(partial(self._open_member, name), f"{self.file}: {self.folder}{name}")

    def _open_member(self, name: str) -> IO[bytes]:
        # A process that was forked shares the place in an open file with its parent, so it opens the file again.
        if self._opened is None or self._opened.process != os.getpid():
            archive = zipfile.ZipFile(self.file)
            self._opened = _OpenZip(os.getpid(), archive, _sorted_out(archive.infolist())[0])
        # Of several members with one name, a name would open the last one, which may be none of the images.
        return self._opened.archive.open(self._opened.images[self.folder + name])

    def __getstate__(self) -> dict[str, object]:
        return {"file": self.file, "folder": self.folder, "_opened": None}
