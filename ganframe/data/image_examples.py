"""Examples of stored images, of which a few may be unreadable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ganframe.data.image_files import Picture, UnreadableImage, open_picture
from ganframe.data.unreadable_files import UnreadableLimit, report_unreadable
from ganframe.errors import BadInput


class ImageSource(Protocol):
    """Images that are kept somewhere, each under a name. It has to be picklable: each loader worker gets a copy."""

    def open(self, name: str) -> AbstractContextManager[Picture]:
        """Open an image; any error of the `with` block is raised as `UnreadableImage`, as `open_picture` does."""
        ...


class FolderSource:
    """The image files of a folder, under their paths in it.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, name: str) -> AbstractContextManager[Picture]:
        """Open the image of a file."""
        file = self.folder / name
        return open_picture(partial(file.open, "rb"), str(file))


class ImageExamples:
    """Examples of one stored image or of several that belong together.

    An example that cannot be read is replaced by the next readable one in order. The result depends on the files alone,
    and neighbours in order often have the same class.

    Args:
        names: The names of the images of each example.
        sources: Where each image of an example is kept.
        convert: Returns the pixels of an image, uint8, such as `ImageReader.convert`.
        limit: The number of files that may be unreadable.
    """

    def __init__(
        self,
        names: Sequence[tuple[str, ...]],
        sources: Sequence[ImageSource],
        convert: Callable[[Picture], np.ndarray],
        limit: UnreadableLimit,
    ) -> None:
        self.names, self.sources, self.convert, self.limit = names, sources, convert, limit

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.names)

    def file_names(self) -> list[str]:
        """Return the names of all images in the order of the examples."""
        return [name for names in self.names for name in names]

    def open_all(self) -> Iterator[AbstractContextManager[Picture]]:
        """Yield each image, which is opened as a context manager."""
        for names in self.names:
            for name, source in zip(names, self.sources, strict=True):
                yield source.open(name)

    def read(self, indices: Sequence[int]) -> tuple[list[Tensor], list[int]]:
        """Read examples.

        Args:
            indices: Which examples.

        Returns:
            uint8 images `(B, C, H, W)` for each image of an example, and the indices of the examples read.

        Raises:
            BadInput: When too many examples in a row cannot be read: more than the number of files that may be
                unreadable.
        """
        found = [self._first_readable(index) for index in indices]
        images = zip(*(pixels for pixels, _ in found), strict=True)
        return [torch.from_numpy(np.stack(pixels)) for pixels in images], [index for _, index in found]

    def _first_readable(self, index: int) -> tuple[list[np.ndarray], int]:
        """Return the first readable example from an index on, and the index of that example."""
        tries = min(self.limit.max_files + 1, len(self))
        broken: list[UnreadableImage] = []
        for position in ((index + ahead) % len(self) for ahead in range(tries)):
            try:
                return self._read_one(position), position
            except UnreadableImage as problem:
                report_unreadable(problem.file, problem.reason, self.limit)
                broken.append(problem)
        more = f", and none of the {tries - 1} behind it can be read" if tries > 1 else ""
        remedy = "Replace or remove it, or raise `max_unreadable`."
        raise BadInput(broken[0].reason + more, place=broken[0].file, remedy=remedy)

    def _read_one(self, position: int) -> list[np.ndarray]:
        pixels = list[np.ndarray]()
        for name, source in zip(self.names[position], self.sources, strict=True):
            with source.open(name) as picture:
                pixels.append(self.convert(picture))
        return pixels
