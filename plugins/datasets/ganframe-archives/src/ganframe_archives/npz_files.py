"""Images and labels of an npz file."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from ganframe.config import within
from ganframe.data import (
    BadInput,
    ImageData,
    Picture,
    UnreadableImage,
    check_array,
    check_largest_label,
    open_images,
    read_arrays,
)
from ganframe_archives import ArrayFile


def open_npz(config: ArrayFile) -> ArrayImages:
    """Open the images of an npz file.

    Raises:
        BadInput: When the file or an array cannot be read, or the arrays do not fit together.
    """
    (images,) = read_arrays(config.path, config.images)
    with within("images"):
        try:
            check_array(images.shape[1:], images.dtype)
        except ValueError as problem:
            message = f"of the images {images.shape}, one is no image: {problem}"
            raise BadInput(message, place=str(config.path)) from None
        channels = images.shape[3] if images.ndim == 4 else 1
        if channels != config.channels:
            message = f"the images {images.shape} have {channels} channels, and `channels` is {config.channels}"
            transpose = "; of an array (N, C, H, W), save the transpose (0, 2, 3, 1)" if images.ndim == 4 else ""
            remedy = f"Set `channels: {channels}`{transpose}."
            raise BadInput(message, place=str(config.path), remedy=remedy)
    names = [str(index) for index in range(len(images))]
    numbers = None
    if config.labels is not None:
        labels, _ = read_labels(config, config.labels)
        if len(labels) != len(images):
            message = f"there are {len(labels):,} labels for {len(images):,} images"
            raise BadInput(message, place=str(config.path), path=("labels",))
        numbers = dict(zip(names, labels.tolist(), strict=True))
    return ArrayImages(open_images(config, ArraySource(images), names, {}, numbers), images)


def read_labels(config: ArrayFile, name: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return the labels `(N,)` and the names of the classes, if there are any.

    Args:
        config: The settings of the data set.
        name: Name of the array of the labels.

    Raises:
        BadInput: When an array cannot be read, or is no array of labels or of names.
    """
    with within("labels"):
        (labels,) = read_arrays(config.path, name)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
            message = f"{name!r} is {labels.dtype} {labels.shape}, not whole numbers (N,) from 0 on"
            raise BadInput(message, place=str(config.path))
        check_largest_label(int(labels.max()), str(labels.argmax()), len(labels), str(config.path))
    if config.class_names is None:
        return labels, None
    with within("class_names"):
        (names,) = read_arrays(config.path, config.class_names)
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) <= labels.max():
            message = f"{config.class_names!r} is {names.dtype} {names.shape}, not a text for each class"
            remedy = f"Save it as `numpy.array([...])` of {labels.max() + 1} or more texts."
            raise BadInput(message, place=str(config.path), remedy=remedy)
    return labels, tuple(map(str, names))


class ArrayImages(ImageData):
    """Images of one array, whose content is part of the identity of a run's data.

    Args:
        opened: The images as those of any source.
        images: uint8 `(N, H, W)` or `(N, H, W, C)`, those of both splits.
    """

    def __init__(self, opened: ImageData, images: np.ndarray) -> None:
        labels = opened.labels().get("label")
        super().__init__(opened.examples, labels, opened.flip, opened.left_out())
        self._images = images

    def content_hash(self) -> str:
        """Return the SHA-256 of the images: their names are only their numbers."""
        return hashlib.sha256(np.ascontiguousarray(self._images).data).hexdigest()


class ArraySource:
    """Images of one array, under their numbers.

    Args:
        images: uint8 `(N, H, W)` or `(N, H, W, C)`.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    @contextmanager
    def open(self, name: str) -> Generator[Picture]:
        """Return one image."""
        try:
            yield self.images[int(name)]
        except ValueError as problem:
            raise UnreadableImage(f"image {name}", str(problem)) from None
