"""Finding the image files of folders, without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

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


def match_pairs(sources: ImageListing, targets: ImageListing) -> list[tuple[str, str]]:
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


def _by_stem(listing: ImageListing, setting: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in listing.names():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        if stem in found:
            files = " and ".join(Path(each).name for each in (found[stem], name))
            message = f"{files} have the same stem, so their partner is ambiguous"
            place = str((listing.folder / name).parent)
            raise BadInput(message, place=place, path=(setting,), remedy="Rename or remove one of them.")
        found[stem] = name
    return found


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{rest} {'is' if len(names) == 1 else 'are'}"
