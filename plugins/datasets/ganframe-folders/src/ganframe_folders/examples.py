"""Examples of image files, of which a few may be unreadable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganframe.data import BadInput, UnreadableLimit, as_float, report_unreadable
from ganframe_folders.images import Reader, Unreadable


class Examples:
    """Examples of one image file or of several that belong together.

    For an example that cannot be read, the next one in order that can is given: what is given depends on the files
    alone, and neighbours in order are often of one class.

    Args:
        files: The files of each example.
        reader: How a file becomes pixels.
        tolerance: How many files may be unreadable.
    """

    def __init__(self, files: Sequence[tuple[Path, ...]], reader: Reader, tolerance: UnreadableLimit) -> None:
        self.files, self.reader, self.tolerance = files, reader, tolerance

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.files)

    def read(self, indices: Sequence[int]) -> tuple[list[Tensor], list[int]]:
        """Read examples.

        Args:
            indices: Which.

        Returns:
            Images `(B, C, H, W)` in [-1, 1] for each file of an example, and the indices of those that were given.

        Raises:
            BadInput: When so many in a row cannot be read that the data set must be broken.
        """
        found = [self._from(index) for index in indices]
        images = zip(*(pixels for pixels, _ in found), strict=True)
        return [as_float(torch.from_numpy(np.stack(each))) for each in images], [index for _, index in found]

    def _from(self, index: int) -> tuple[list[np.ndarray], int]:
        """The first example from an index on that can be read."""
        tries = min(self.tolerance.most + 1, len(self))
        broken: list[Unreadable] = []
        for place in ((index + ahead) % len(self) for ahead in range(tries)):
            try:
                return [self.reader.read(file) for file in self.files[place]], place
            except Unreadable as problem:
                report_unreadable(problem.file, problem.reason, self.tolerance)
                broken.append(problem)
        more = f", and none of the {tries - 1} behind it can be read" if tries > 1 else ""
        remedy = "Replace or remove it, or raise `max_unreadable`."
        raise BadInput(broken[0].reason + more, place=str(broken[0].file), remedy=remedy)
