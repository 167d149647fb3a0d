"""The image files of a folder, found without reading them, whatever else is in it, and its classes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ganframe.errors import BadInput

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pbm", ".pgm", ".png", ".pnm"),
    *(".ppm", ".tif", ".tiff", ".webp"),
)
"""Suffixes of image files, in either case."""


@dataclass(frozen=True)
class ImageListing:
    """The content of a folder and its subfolders.

    Attributes:
        folder: The folder.
        images: The image files, sorted by their paths in the folder.
        left_out: The paths in the folder of everything else, sorted, by the reason for which it is left out.
    """

    folder: Path
    images: tuple[Path, ...]
    left_out: Mapping[str, tuple[str, ...]]

    def names(self) -> list[str]:
        """Return the paths of the images in the folder, in order."""
        return [file.relative_to(self.folder).as_posix() for file in self.images]


def list_images(folder: Path) -> ImageListing:
    """List the image files of a folder and its subfolders. Links are followed, but not back to a folder around them.

    A link with the suffix of an image that leads nowhere is listed as an image, which then cannot be read.

    Args:
        folder: The folder.

    Raises:
        BadInput: When it is missing, is not a folder, has a folder that cannot be read, or has no images.
    """
    if not folder.exists():
        remedy = f"The path is relative to {Path.cwd()}." if not folder.is_absolute() else ""
        raise BadInput("there is no such folder", place=str(folder), remedy=remedy)
    if not folder.is_dir():
        remedy = f"Give the folder that it is in: {folder.parent}."
        raise BadInput("this is a file, not a folder of images", place=str(folder), remedy=remedy)
    walk = _Walk(folder)
    walk.visit_all()
    if not walk.images:
        remedy = f"Images are files that end in {', '.join(IMAGE_SUFFIXES)}."
        raise BadInput("there are no images in this folder", place=str(folder), remedy=remedy)
    images = sorted(walk.images, key=lambda file: file.relative_to(folder).parts)
    return ImageListing(
        folder, tuple(images), {reason: tuple(sorted(names)) for reason, names in walk.left_out.items()}
    )


def label_by_subfolder(names: Sequence[str], place: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names of the classes, sorted, and the number of the class of each image: a class is a subfolder.

    Args:
        names: The path of each image, such as `cats/1.png`.
        place: What the paths are in, for messages.

    Raises:
        BadInput: When an image is in no subfolder.
    """
    folders = {name: name.partition("/")[0] for name in names if "/" in name}
    outside = [name for name in names if name not in folders]
    if outside:
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        raise BadInput(
            f"{', '.join(outside[:3])}{more} {'is' if len(outside) == 1 else 'are'} in no class subfolder",
            place=place,
            path=("with_labels",),
            remedy="Move each image into a subfolder named after its class, or leave `with_labels` out.",
        )
    classes = tuple(sorted({*folders.values()}))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, {name: numbers[folder] for name, folder in folders.items()}


class _Walk:
    """A walk through a folder and its subfolders.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = list[Path]()
        self.left_out = dict[str, list[str]]()
        self._folders = list[PurePath]()

    def visit_all(self) -> None:
        """Sort every entry into images and what is left out."""
        waiting = [(self.folder, frozenset({_identity(self.folder.stat())}))]
        while waiting:
            folder, around = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as problem:
                raise BadInput(f"this folder cannot be read: {problem.strerror}", place=str(folder)) from None
            for entry in entries:
                found = self._visit(folder / entry.name, around)
                waiting += [] if found is None else [(folder / entry.name, around | {found})]
        self._leave_out_empty_folders()

    def _visit(self, path: Path, around: frozenset[tuple[int, int]]) -> tuple[int, int] | None:
        """Sort one entry in; return the identity of a folder that is to be visited.

        Args:
            path: The path of the entry.
            around: The identities of the folders that it is in.
        """
        reason = "hidden" if path.name.startswith(".") else ""
        try:
            status = path.stat() if not reason else None
        except OSError:
            status, reason = None, "" if is_named_as_image(path) else "links that lead nowhere"
        if status is not None and stat.S_ISDIR(status.st_mode):
            if _identity(status) not in around:
                self._folders.append(path.relative_to(self.folder))
                return _identity(status)
            reason = "links back to a folder around them"
        elif status is not None and not stat.S_ISREG(status.st_mode):
            reason = "pipes, sockets and devices"  # to read a pipe would block
        elif not reason and not is_named_as_image(path):
            reason = "files of other types"
        if reason:
            self._leave_out(reason, path)
        else:
            self.images.append(path)
        return None

    def _leave_out(self, reason: str, path: Path) -> None:
        self.left_out.setdefault(reason, []).append(path.relative_to(self.folder).as_posix())

    def _leave_out_empty_folders(self) -> None:
        """Leave out each folder without an image in it or below, unless it is inside of another one."""
        with_images = {parent for file in self.images for parent in file.relative_to(self.folder).parents}
        for folder in self._folders:
            if folder not in with_images and (folder.parent in with_images or folder.parent == PurePath()):
                self._leave_out("folders without images", self.folder / folder)


def is_named_as_image(path: PurePath) -> bool:
    """Return whether a file has the suffix of an image, in either case."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
