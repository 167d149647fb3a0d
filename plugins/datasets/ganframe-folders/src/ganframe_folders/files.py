"""Finding the image files of a folder, without reading them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ganframe import BadInput

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of image files, in either case."""


def find_images(folder: Path, setting: str) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted, without hidden ones.

    Args:
        folder: The folder.
        setting: The setting that names the folder, for messages.

    Raises:
        BadInput: When the folder is missing, cannot be read, is not a folder, or has no images.
    """
    if not folder.exists():
        remedy = f"The path is relative to {Path.cwd()}." if not folder.is_absolute() else ""
        raise BadInput("there is no such folder", place=str(folder), path=(setting,), remedy=remedy)
    if not folder.is_dir():
        remedy = f"Give the folder that it is in: {folder.parent}."
        raise BadInput("this is a file, not a folder of images", place=str(folder), path=(setting,), remedy=remedy)
    try:
        files = [file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and _may_be_read(file)]
    except OSError as problem:
        raise BadInput(f"cannot be read: {problem.strerror}", place=str(folder), path=(setting,)) from None
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not visible:
        remedy = f"Images are files that end in {', '.join(SUFFIXES)}."
        raise BadInput("there are no images in this folder", place=str(folder), path=(setting,), remedy=remedy)
    return sorted(visible, key=lambda file: file.relative_to(folder).parts)


def _may_be_read(file: Path) -> bool:
    # A broken link is a missing image, to be reported; reading a pipe would block.
    return file.is_file() or (file.is_symlink() and not file.exists())


def find_classes(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return the names of the subfolders that the files are in, sorted.

    Raises:
        BadInput: When a file is not in a subfolder.
    """
    outside = [file for file in files if file.parent == folder]
    if outside:
        raise BadInput(
            f"{_listed(file.name for file in outside)} in no class subfolder",
            place=str(folder),
            path=("with_labels",),
            remedy="Move each image into a subfolder named after its class, or leave `with_labels` out.",
        )
    return sorted({class_name(folder, file) for file in files})


def class_name(folder: Path, file: Path) -> str:
    """Return the subfolder that a file is in."""
    return file.relative_to(folder).parts[0]


def find_pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Return the files of two folders that have the same path without the suffix, sorted.

    Raises:
        BadInput: When a folder has no images, a file has no partner, or two files of a folder have the same stem.
    """
    sources, targets = _by_stem(source, "source"), _by_stem(target, "target")
    for setting, folder, unmatched in (
        ("source", source, sources.keys() - targets.keys()),
        ("target", target, targets.keys() - sources.keys()),
    ):
        if unmatched:
            other = target if setting == "source" else source
            raise BadInput(
                f"{_listed(sorted(unmatched))} without a partner in {other}",
                place=str(folder),
                path=(setting,),
                remedy="Partners have the same file name in both folders; the suffix may differ.",
            )
    return [(sources[stem], targets[stem]) for stem in sources]


def _by_stem(folder: Path, setting: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in find_images(folder, setting):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            message = f"{found[stem].name} and {file.name} have the same stem, so their partner is ambiguous"
            raise BadInput(message, place=str(file.parent), path=(setting,), remedy="Rename or remove one of them.")
        found[stem] = file
    return found


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    verb = "is" if len(every) == 1 else "are"
    rest = f" and {len(every) - 3} more" if len(every) > 3 else ""
    return f"{', '.join(every[:3])}{rest} {verb}"
