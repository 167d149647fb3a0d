"""Finding the image files of a folder, without reading them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ganframe import BadInput
from ganframe.config import within
from ganframe.data import ImageListing, list_images


def find_images(folder: Path, setting: str) -> ImageListing:
    """List the images of a folder and its subfolders.

    Args:
        folder: The folder.
        setting: The setting that names the folder, for messages.

    Raises:
        BadInput: When the folder is missing, cannot be read, is not a folder, or has no images.
    """
    with within(setting):
        return list_images(folder)


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


def match_pairs(sources: ImageListing, targets: ImageListing) -> list[tuple[Path, Path]]:
    """Return the files of two folders that have the same path without the suffix, sorted.

    Raises:
        BadInput: When a file has no partner, or two files of a folder have the same stem.
    """
    source_files, target_files = _by_stem(sources, "source"), _by_stem(targets, "target")
    for setting, folder, other, unmatched in (
        ("source", sources.folder, targets.folder, source_files.keys() - target_files.keys()),
        ("target", targets.folder, sources.folder, target_files.keys() - source_files.keys()),
    ):
        if unmatched:
            raise BadInput(
                f"{_listed(sorted(unmatched))} without a partner in {other}",
                place=str(folder),
                path=(setting,),
                remedy="Partners have the same file name in both folders; the suffix may differ.",
            )
    return [(source_files[stem], target_files[stem]) for stem in source_files]


def _by_stem(listing: ImageListing, setting: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in listing.images:
        stem = file.relative_to(listing.folder).with_suffix("").as_posix()
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
