"""The data sets, which decode images when they are fetched."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import override

from ganframe.data import (
    FolderSource,
    ImageData,
    ImageExamples,
    ImageListing,
    LeftOutNames,
    Randomness,
    StoredExamples,
    label_by_subfolder,
    mirror_at_random,
    open_examples,
    open_images,
)
from ganframe_folders import ImageFolder, PairedFolders, SideBySide, UnpairedFolders
from ganframe_folders.files import find_images, match_pairs


def open_folder(config: ImageFolder) -> ImageData:
    """Open the images of a folder.

    Raises:
        BadInput: When the folder has no images, or too many files are not images.
    """
    listing = find_images(config.path, "path")
    names = listing.names()
    labels = label_by_subfolder(names, str(config.path))[1] if config.with_labels else None
    return open_images(config, FolderSource(config.path), names, listing.left_out, labels)


def open_pairs(config: PairedFolders) -> Pairs:
    """Open the pairs of two folders.

    Raises:
        BadInput: When a file has no partner, or too many are not images.
    """
    listings = find_images(config.source, "source"), find_images(config.target, "target")
    sources = FolderSource(config.source), FolderSource(config.target)
    pairs = StoredExamples(sources, match_pairs(*listings))
    (examples,), left_out = open_examples(config, [pairs], _left_out_of(listings))
    return Pairs(examples, config.flip, left_out)


def open_halves(config: SideBySide) -> Halves:
    """Open the pairs of a folder whose images have a source and its target side by side.

    Raises:
        BadInput: When the folder has no images, or too many files are not images.
    """
    listing = find_images(config.path, "path")
    (examples,), left_out = open_examples(config, [_alone(listing)], listing.left_out, halves=True)
    return Halves(examples, config.flip, left_out, source_first=config.source == "left")


def open_domains(config: UnpairedFolders) -> Domains:
    """Open the images of two folders.

    Raises:
        BadInput: When a folder has none, or too many files are not images.
    """
    listings = find_images(config.a, "a"), find_images(config.b, "b")
    (a, b), left_out = open_examples(config, [*map(_alone, listings)], _left_out_of(listings))
    return Domains(a, b, config.flip, left_out)


def _alone(listing: ImageListing) -> StoredExamples:
    """Return examples of one file each."""
    return StoredExamples((FolderSource(listing.folder),), [(name,) for name in listing.names()])


def _left_out_of(listings: Sequence[ImageListing]) -> LeftOutNames:
    """Return what was left out of all folders together, with the names of the folders."""
    left_out: dict[str, list[str]] = {}
    for listing in listings:
        for reason, names in listing.left_out.items():
            left_out.setdefault(reason, []).extend(str(listing.folder / name) for name in names)
    return left_out


class Pairs:
    """Images with their translations.

    Args:
        examples: Files of source and target.
        flip: Whether to mirror at random, source and target alike.
        left_out: What is in the folders and no example.
    """

    def __init__(self, examples: ImageExamples, flip: bool, left_out: LeftOutNames) -> None:
        self.examples, self.flip, self._left_out = examples, flip, left_out

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.examples)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to their folders."""
        return self.examples.file_names()

    def left_out(self) -> LeftOutNames:
        """Return the names of what is in the folders and no example, by the reason."""
        return self._left_out

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `source` and `target`, each `(B, C, H, W)` in uint8."""
        source, target = self.read(indices)
        if self.flip:  # the same draws for both
            source, target = (mirror_at_random(images, randomness, "flip") for images in (source, target))
        return {"source": source, "target": target}

    def read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return sources and targets as they are stored."""
        (source, target), _ = self.examples.read(indices)
        return source, target


class Halves(Pairs):
    """Images with their translations, both in one file.

    Args:
        examples: The files, each read as its two halves.
        flip: Whether to mirror at random, source and target alike.
        left_out: What is in the folder and no example.
        source_first: Whether the left half is the source.
    """

    def __init__(self, examples: ImageExamples, flip: bool, left_out: LeftOutNames, *, source_first: bool) -> None:
        super().__init__(examples, flip, left_out)
        self.source_first = source_first

    @override
    def read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        (halves,), _ = self.examples.read(indices)  # (B, 2, C, H, W)
        left, right = halves.unbind(1)
        return (left, right) if self.source_first else (right, left)


class Domains:
    """Images of two domains: each image of A with an image of B that is drawn at random.

    Args:
        a: Files of domain A.
        b: Files of domain B.
        flip: Whether to mirror at random.
        left_out: What is in the folders and no example.
    """

    def __init__(self, a: ImageExamples, b: ImageExamples, flip: bool, left_out: LeftOutNames) -> None:
        self.a, self.b, self.flip, self._left_out = a, b, flip, left_out

    def __len__(self) -> int:
        """Return the number of images of domain A."""
        return len(self.a)

    def file_names(self) -> list[str]:
        """Return the names of the files in the order of the examples, relative to their folders."""
        return self.a.file_names() + self.b.file_names()

    def left_out(self) -> LeftOutNames:
        """Return the names of what is in the folders and no example, by the reason."""
        return self._left_out

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real_a` and `real_b`, each `(B, C, H, W)` in uint8."""
        drawn = (randomness.uniform("partner", (len(indices),)) * len(self.b)).long().clamp_(max=len(self.b) - 1)
        (real_a,), _ = self.a.read(indices)
        (real_b,), _ = self.b.read(drawn.tolist())
        if self.flip:
            real_a = mirror_at_random(real_a, randomness, "flip a")
            real_b = mirror_at_random(real_b, randomness, "flip b")
        return {"real_a": real_a, "real_b": real_b}
