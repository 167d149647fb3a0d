"""The data sets, which decode images when they are fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganframe.data import ImageListing, ImageReader, Randomness, UnreadableLimit, check_image_headers
from ganframe_folders import ImageFolder, PairedFolders, UnpairedFolders
from ganframe_folders.examples import Examples
from ganframe_folders.files import class_name, find_classes, find_images, match_pairs

Names = Mapping[str, Sequence[str]]
"""Names of files or folders, by the reason for which they are left out."""

UNREADABLE = "files that cannot be read (the next in order stands in for each)"
"""The reason of files that are no images although their suffix says so."""


def open_folder(config: ImageFolder) -> Images:
    """Open the images of a folder.

    Raises:
        BadInput: When the folder has no images, or too many files are not images.
    """
    listing = find_images(config.path, "path")
    (examples,), left_out = _open(config, [listing], [_alone(listing)])
    labels = None
    if config.with_labels:
        numbers = {name: number for number, name in enumerate(find_classes(config.path, listing.images))}
        labels = torch.tensor([numbers[class_name(config.path, file)] for file in listing.images])
    return Images(examples, labels, config.flip, left_out)


def open_pairs(config: PairedFolders) -> Pairs:
    """Open the pairs of two folders.

    Raises:
        BadInput: When a file has no partner, or too many are not images.
    """
    listings = [find_images(config.source, "source"), find_images(config.target, "target")]
    pairs = _Listed((config.source, config.target), match_pairs(*listings))
    (examples,), left_out = _open(config, listings, [pairs])
    return Pairs(examples, config.flip, left_out)


def open_domains(config: UnpairedFolders) -> Domains:
    """Open the images of two folders.

    Raises:
        BadInput: When a folder has none, or too many files are not images.
    """
    listings = [find_images(config.a, "a"), find_images(config.b, "b")]
    (a, b), left_out = _open(config, listings, [_alone(listing) for listing in listings])
    return Domains(a, b, config.flip, left_out)


class _Listed(NamedTuple):
    """The files of each example, and the folder of each of them."""

    folders: tuple[Path, ...]
    files: Sequence[tuple[Path, ...]]


def _alone(listing: ImageListing) -> _Listed:
    """Return examples of one file each."""
    return _Listed((listing.folder,), [(file,) for file in listing.images])


def _open(
    config: ImageFolder | PairedFolders | UnpairedFolders, listings: Sequence[ImageListing], lists: Sequence[_Listed]
) -> tuple[list[Examples], Names]:
    """Return the examples of each list, and what was left out of all folders together."""
    files = list(chain.from_iterable(chain.from_iterable(each.files for each in lists)))
    limit = UnreadableLimit(len(files), config.max_unreadable)
    broken = check_image_headers(files, limit)
    left_out: dict[str, list[str]] = {UNREADABLE: [str(each) for each in broken]}
    for listing in listings:
        for reason, names in listing.left_out.items():
            given = names if len(listings) == 1 else [str(listing.folder / name) for name in names]
            left_out.setdefault(reason, []).extend(given)
    reader = ImageReader(config.size, config.channels, config.crop == "centre")
    return [Examples(each.files, each.folders, reader, limit) for each in lists], left_out


class _FromFolders:
    """The base of all data sets of folders.

    Args:
        flip: Whether to mirror at random.
        left_out: What is in the folders and no example.
    """

    def __init__(self, flip: bool, left_out: Names) -> None:
        self.flip, self._left_out = flip, left_out

    def left_out(self) -> Names:
        """Return the names of what is in the folders and no example, by the reason."""
        return self._left_out


class Images(_FromFolders):
    """Images, with labels if there are any.

    Args:
        examples: The image files.
        labels: `(N,)`, or None.
        flip: Whether to mirror at random.
        left_out: What is in the folder and no example.
    """

    def __init__(self, examples: Examples, labels: Tensor | None, flip: bool, left_out: Names) -> None:
        super().__init__(flip, left_out)
        self.examples, self._labels = examples, labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.examples)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to the folder."""
        return self.examples.names()

    def labels(self) -> dict[str, Tensor]:
        """Return `label` `(N,)` if there are labels, without reading an image."""
        return {} if self._labels is None else {"label": self._labels}

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real` `(B, C, H, W)`, and `label` `(B,)` if there are labels."""
        (real,), read = self.examples.read(indices)
        batch = {"real": _mirrored(real, randomness, "flip") if self.flip else real}
        return batch if self._labels is None else batch | {"label": self._labels[torch.as_tensor(read)]}


class Pairs(_FromFolders):
    """Images with their translations.

    Args:
        examples: Files of source and target.
        flip: Whether to mirror at random, source and target alike.
        left_out: What is in the folders and no example.
    """

    def __init__(self, examples: Examples, flip: bool, left_out: Names) -> None:
        super().__init__(flip, left_out)
        self.examples = examples

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.examples)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to their folders."""
        return self.examples.names()

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `source` and `target`, each `(B, C, H, W)`."""
        (source, target), _ = self.examples.read(indices)
        if self.flip:  # the same draws for both
            source, target = (_mirrored(images, randomness, "flip") for images in (source, target))
        return {"source": source, "target": target}


class Domains(_FromFolders):
    """Images of two domains: each image of A with an image of B that is drawn at random.

    Args:
        a: Files of domain A.
        b: Files of domain B.
        flip: Whether to mirror at random.
        left_out: What is in the folders and no example.
    """

    def __init__(self, a: Examples, b: Examples, flip: bool, left_out: Names) -> None:
        super().__init__(flip, left_out)
        self.a, self.b = a, b

    def __len__(self) -> int:
        """Return the number of images of domain A."""
        return len(self.a)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to their folders."""
        return self.a.names() + self.b.names()

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real_a` and `real_b`, each `(B, C, H, W)`."""
        drawn = (randomness.uniform("partner", (len(indices),)) * len(self.b)).long().clamp_(max=len(self.b) - 1)
        (real_a,), _ = self.a.read(indices)
        (real_b,), _ = self.b.read(drawn.tolist())
        if self.flip:
            real_a, real_b = _mirrored(real_a, randomness, "flip a"), _mirrored(real_b, randomness, "flip b")
        return {"real_a": real_a, "real_b": real_b}


def _mirrored(images: Tensor, randomness: Randomness, purpose: str) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    flipped = randomness.uniform(purpose, (len(images), 1, 1, 1)) < 0.5
    return torch.where(flipped, images.flip(-1), images)
