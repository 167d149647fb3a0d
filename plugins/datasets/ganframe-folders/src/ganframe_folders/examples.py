"""Examples of image files, of which a few may be unreadable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganframe.data import BadInput, ImageReader, UnreadableImage, UnreadableLimit, report_unreadable


class Examples:
    """Examples of one image file or of several that belong together.

    An example that cannot be read is replaced by the next readable one in order. The result depends on the files alone,
    and neighbours in order often have the same class.

    Args:
        files: The files of each example.
        folders: The folder of each example.
        reader: Converts a file to pixels.
        limit: The number of files that may be unreadable.
    """

    def __init__(
        self, files: Sequence[tuple[Path, ...]], folders: Sequence[Path], reader: ImageReader, limit: UnreadableLimit
    ) -> None:
        self.files, self.folders, self.reader, self.limit = files, folders, reader, limit

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.files)

    def names(self) -> list[str]:
        """Return the names of all files in the order of the examples, each relative to its folder."""
        return [
            file.relative_to(folder).as_posix()
            for example in self.files
            for file, folder in zip(example, self.folders, strict=True)
        ]

    def read(self, indices: Sequence[int]) -> tuple[list[Tensor], list[int]]:
        """Read examples.

        Args:
            indices: Which examples.

        Returns:
            uint8 images `(B, C, H, W)` for each file of an example, and the indices of the examples read.

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
                return [self.reader.read(file) for file in self.files[position]], position
            except UnreadableImage as problem:
                report_unreadable(problem.file, problem.reason, self.limit)
                broken.append(problem)
        more = f", and none of the {tries - 1} behind it can be read" if tries > 1 else ""
        remedy = "Replace or remove it, or raise `max_unreadable`."
        raise BadInput(broken[0].reason + more, place=str(broken[0].file), remedy=remedy)
