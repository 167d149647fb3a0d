"""Data sets of stored images, opened from what their sources list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from ganframe.config.held_out_share import OTHER_SPLIT, SplitDatasetConfig
from ganframe.config.image_data import ImageDatasetConfig
from ganframe.data.image_examples import ImageExamples, ImageSource
from ganframe.data.image_files import ImageReader, check_image_headers
from ganframe.data.unreadable_files import UnreadableLimit
from ganframe.errors import BadInput
from ganframe.randomness import Randomness

LeftOutNames = Mapping[str, Sequence[str]]
"""Names of files, folders or other parts of a source, by the reason for which they are left out."""

UNREADABLE = "files that cannot be read (the next in order stands in for each)"
"""The reason of files that are no images although their suffix says so."""


@dataclass(frozen=True)
class StoredExamples:
    """A list of examples, before any image is read.

    Attributes:
        sources: Where each image of an example is kept.
        names: The names of the images of each example. The first decides which examples are held out.
    """

    sources: tuple[ImageSource, ...]
    names: Sequence[tuple[str, ...]]


def open_examples(
    config: ImageDatasetConfig, lists: Sequence[StoredExamples], left_out: LeftOutNames, *, halves: bool = False
) -> tuple[list[ImageExamples], LeftOutNames]:
    """Choose the examples of the split, and check their headers.

    Args:
        config: The settings of the data set.
        lists: One or more lists of examples.
        left_out: What else is in the sources.
        halves: Whether each image is cut into two, side by side, as `ImageReader.convert_halves` does.

    Returns:
        The examples of each list, and what was left out.

    Raises:
        BadInput: When `held_out_share` leaves a part without examples, or too many files are not images.
    """
    reader = ImageReader(config.size, config.channels, config.crop == "centre")
    convert = reader.convert_halves if halves else reader.convert
    kept, others = list[list[tuple[str, ...]]](), list[str]()
    for each in lists:
        chosen = {*config.in_split([names[0] for names in each.names])}
        kept.append([names for index, names in enumerate(each.names) if index in chosen])
        others += [names[0] for index, names in enumerate(each.names) if index not in chosen]
    # The share is that of the whole source: a small part may not have room for one broken file.
    files = sum(map(len, chain.from_iterable(each.names for each in lists)))
    limit = UnreadableLimit(files, config.max_unreadable)
    examples = [ImageExamples(names, each.sources, convert, limit) for names, each in zip(kept, lists, strict=True)]
    broken = check_image_headers(chain.from_iterable(each.open_all() for each in examples), limit)
    return examples, {UNREADABLE: [*map(str, broken)], OTHER_SPLIT[config.split]: others, **left_out}


def open_images(
    config: ImageDatasetConfig,
    source: ImageSource,
    names: Sequence[str],
    left_out: LeftOutNames,
    labels: Mapping[str, int] | None = None,
) -> ImageData:
    """Open a data set of single images.

    Args:
        config: The settings of the data set.
        source: Where the images are kept.
        names: The names of the images, each once.
        left_out: What else is in the source.
        labels: The class of each image, by its name; None for images without classes.

    Raises:
        BadInput: When `held_out_share` leaves a part without examples or holds all images of a class out, or too many
            files are not images.
    """
    (examples,), left_out = open_examples(config, [StoredExamples((source,), [(name,) for name in names])], left_out)
    if labels is None:
        return ImageData(examples, None, config.flip, left_out)
    numbers = [labels[name] for name in examples.file_names()]
    check_classes_are_trained(config, "label", labels.values(), numbers)
    return ImageData(examples, torch.tensor(numbers), config.flip, left_out)


def check_classes_are_trained(
    config: SplitDatasetConfig, label: str, before: Iterable[int], after: Iterable[int]
) -> None:
    """Refuse a split to train on that lacks all examples of a class.

    Args:
        config: The settings of the data set.
        label: The name of the class label.
        before: The class of each example of both splits.
        after: The class of each example of the split.

    Raises:
        BadInput: When the examples to train on have none of a class.
    """
    untrained = {*before} - {*after}
    if config.split == "train" and untrained:
        spec = config.spec().get(label)
        name = str(min(untrained)) if spec is None else spec.class_name(min(untrained))
        message = f"every example of class {name} is held out"
        raise BadInput(message, path=("held_out_share",), remedy="Choose a smaller share, or add images of the class.")


class ImageData:
    """A data set of stored images, with labels if there are any.

    Args:
        examples: The images.
        labels: `(N,)`, or None.
        flip: Whether to mirror at random.
        left_out: What is in the source and no example.
    """

    def __init__(self, examples: ImageExamples, labels: Tensor | None, flip: bool, left_out: LeftOutNames) -> None:
        self.examples, self._labels, self.flip, self._left_out = examples, labels, flip, left_out

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.examples)

    def file_names(self) -> list[str]:
        """Return the names of the images in the order of the examples, relative to the source."""
        return self.examples.file_names()

    def left_out(self) -> LeftOutNames:
        """Return the names of what is in the source and no example, by the reason."""
        return self._left_out

    def labels(self) -> dict[str, Tensor]:
        """Return `label` `(N,)` if there are labels, without reading an image."""
        return {} if self._labels is None else {"label": self._labels}

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real` `(B, C, H, W)` in uint8, and `label` `(B,)` if there are labels."""
        (real,), read = self.examples.read(indices)
        batch = {"real": mirror_at_random(real, randomness, "flip") if self.flip else real}
        return batch if self._labels is None else batch | {"label": self._labels[torch.as_tensor(read)]}


def mirror_at_random(images: Tensor, randomness: Randomness, purpose: str) -> Tensor:
    """Mirror each image `(B, C, H, W)` left to right with probability 1/2."""
    flipped = randomness.uniform(purpose, (len(images), 1, 1, 1)) < 0.5
    return torch.where(flipped, images.flip(-1), images)
