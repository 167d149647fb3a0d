"""The data sets, which decode images when they are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganframe.data import as_float
from ganframe.randomness import Randomness
from ganframe_folders import ImageFolder, PairedFolders, UnpairedFolders
from ganframe_folders.files import class_name, find_classes, find_images, find_pairs
from ganframe_folders.images import Reader, check_headers


def open_folder(config: ImageFolder) -> Images:
    """The images of a folder.

    Raises:
        BadInput: When there is none, or a file is no image.
    """
    files = find_images(config.path, "path")
    check_headers(files)
    labels = None
    if config.labels:
        numbers = {name: number for number, name in enumerate(find_classes(config.path, files))}
        labels = torch.tensor([numbers[class_name(config.path, file)] for file in files])
    return Images(files, labels, _reader(config), config.flip)


def open_pairs(config: PairedFolders) -> Pairs:
    """The pairs of two folders.

    Raises:
        BadInput: When a file has no partner or is no image.
    """
    pairs = find_pairs(config.source, config.target)
    check_headers(chain.from_iterable(pairs))
    return Pairs(pairs, _reader(config), config.flip)


def open_domains(config: UnpairedFolders) -> Domains:
    """The images of two folders.

    Raises:
        BadInput: When a folder has none, or a file is no image.
    """
    a, b = find_images(config.a, "a"), find_images(config.b, "b")
    check_headers([*a, *b])
    return Domains(a, b, _reader(config), config.flip)


def _reader(config: ImageFolder | PairedFolders | UnpairedFolders) -> Reader:
    return Reader(config.resolution, config.channels, config.crop == "centre")


class Images:
    """Images, with labels where there are any.

    Args:
        files: The image files.
        labels: `(N,)`, or None.
        reader: How a file becomes pixels.
        flip: Whether to mirror at random.
    """

    def __init__(self, files: Sequence[Path], labels: Tensor | None, reader: Reader, flip: bool) -> None:
        self.files, self.labels, self.reader, self.flip = files, labels, reader, flip

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.files)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """`real` `(B, C, H, W)`, and `label` `(B,)`."""
        real = _read([self.files[index] for index in indices], self.reader)
        batch = {"real": _mirrored(real, randomness, "flip") if self.flip else real}
        return batch if self.labels is None else batch | {"label": self.labels[torch.as_tensor(indices)]}


class Pairs:
    """Images with what they become.

    Args:
        pairs: Files of source and target.
        reader: How a file becomes pixels.
        flip: Whether to mirror at random, source and target alike.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path]], reader: Reader, flip: bool) -> None:
        self.pairs, self.reader, self.flip = pairs, reader, flip

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """`source` and `target`, each `(B, C, H, W)`."""
        source, target = (_read([self.pairs[index][side] for index in indices], self.reader) for side in range(2))
        if self.flip:  # the same draws for both
            source, target = (_mirrored(each, randomness, "flip") for each in (source, target))
        return {"source": source, "target": target}


class Domains:
    """Images of two domains: each of A with one of B that is drawn at random.

    Args:
        a: Files of domain A.
        b: Files of domain B.
        reader: How a file becomes pixels.
        flip: Whether to mirror at random.
    """

    def __init__(self, a: Sequence[Path], b: Sequence[Path], reader: Reader, flip: bool) -> None:
        self.a, self.b, self.reader, self.flip = a, b, reader, flip

    def __len__(self) -> int:
        """How many images domain A has."""
        return len(self.a)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """`real_a` and `real_b`, each `(B, C, H, W)`."""
        drawn = torch.randint(len(self.b), (len(indices),), generator=randomness.generator("partner")).tolist()
        real_a = _read([self.a[index] for index in indices], self.reader)
        real_b = _read([self.b[index] for index in drawn], self.reader)
        if self.flip:
            real_a, real_b = _mirrored(real_a, randomness, "flip a"), _mirrored(real_b, randomness, "flip b")
        return {"real_a": real_a, "real_b": real_b}


def _read(files: Sequence[Path], reader: Reader) -> Tensor:
    return as_float(torch.from_numpy(np.stack([reader.read(file) for file in files])))


def _mirrored(images: Tensor, randomness: Randomness, purpose: str) -> Tensor:
    """Each image mirrored left to right with probability 1/2."""
    heads = randomness.uniform(purpose, (len(images), 1, 1, 1)) < 0.5
    return torch.where(heads, images.flip(-1), images)
