"""The data sets, which decode images when they are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganframe.data import Randomness, UnreadableLimit
from ganframe_folders import ImageFolder, PairedFolders, UnpairedFolders
from ganframe_folders.examples import Examples
from ganframe_folders.files import class_name, find_classes, find_images, find_pairs
from ganframe_folders.images import Reader, check_headers


def open_folder(config: ImageFolder) -> Images:
    """Open the images of a folder.

    Raises:
        BadInput: When the folder has no images, or too many files are not images.
    """
    files = find_images(config.path, "path")
    (examples,) = _open(config, _Listed((config.path,), [(file,) for file in files]))
    labels = None
    if config.with_labels:
        numbers = {name: number for number, name in enumerate(find_classes(config.path, files))}
        labels = torch.tensor([numbers[class_name(config.path, file)] for file in files])
    return Images(examples, labels, config.flip)


def open_pairs(config: PairedFolders) -> Pairs:
    """Open the pairs of two folders.

    Raises:
        BadInput: When a file has no partner, or too many are not images.
    """
    (examples,) = _open(config, _Listed((config.source, config.target), find_pairs(config.source, config.target)))
    return Pairs(examples, config.flip)


def open_domains(config: UnpairedFolders) -> Domains:
    """Open the images of two folders.

    Raises:
        BadInput: When a folder has none, or too many files are not images.
    """
    folders = {"a": config.a, "b": config.b}
    domains = (_Listed((path,), [(file,) for file in find_images(path, name)]) for name, path in folders.items())
    a, b = _open(config, *domains)
    return Domains(a, b, config.flip)


class _Listed(NamedTuple):
    """The files of each example, and the folder of each of them."""

    folders: tuple[Path, ...]
    files: Sequence[tuple[Path, ...]]


def _open(config: ImageFolder | PairedFolders | UnpairedFolders, *lists: _Listed) -> list[Examples]:
    files = list(chain.from_iterable(chain.from_iterable(each.files for each in lists)))
    limit = UnreadableLimit(len(files), config.max_unreadable)
    check_headers(files, limit)
    reader = Reader(config.size, config.channels, config.crop == "centre")
    return [Examples(each.files, each.folders, reader, limit) for each in lists]


class Images:
    """Images, with labels if there are any.

    Args:
        examples: The image files.
        labels: `(N,)`, or None.
        flip: Whether to mirror at random.
    """

    def __init__(self, examples: Examples, labels: Tensor | None, flip: bool) -> None:
        self.examples, self.labels, self.flip = examples, labels, flip

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.examples)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to the folder."""
        return self.examples.names()

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real` `(B, C, H, W)`, and `label` `(B,)` if there are labels."""
        (real,), read = self.examples.read(indices)
        batch = {"real": _mirrored(real, randomness, "flip") if self.flip else real}
        return batch if self.labels is None else batch | {"label": self.labels[torch.as_tensor(read)]}


class Pairs:
    """Images with their translations.

    Args:
        examples: Files of source and target.
        flip: Whether to mirror at random, source and target alike.
    """

    def __init__(self, examples: Examples, flip: bool) -> None:
        self.examples, self.flip = examples, flip

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


class Domains:
    """Images of two domains: each image of A with an image of B that is drawn at random.

    Args:
        a: Files of domain A.
        b: Files of domain B.
        flip: Whether to mirror at random.
    """

    def __init__(self, a: Examples, b: Examples, flip: bool) -> None:
        self.a, self.b, self.flip = a, b, flip

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
