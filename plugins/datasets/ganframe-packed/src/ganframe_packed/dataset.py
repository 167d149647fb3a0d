"""The data set, which gathers rows of memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ganframe.config import OTHER_SPLIT, within
from ganframe.data import PackedFolder, Randomness, check_classes_are_trained
from ganframe_packed import Packed

IMAGE_AXES = 4
"""The number of axes of a batch of images."""


def open_packed(config: Packed) -> PackedImages:
    """Open packed data.

    Raises:
        BadInput: When the folder is missing or damaged, the split has no examples, or a class none to train on.
    """
    with within("path"):
        folder = PackedFolder(config.path)
        sources = folder.sources()
    count = folder.index.examples
    files = sources.files or [[str(row)] for row in range(count)]
    rows = config.in_split([names[0] for names in files])
    for name, spec in folder.specs.items():
        if spec.kind == "label":
            labels = folder.array(name)
            check_classes_are_trained(config, name, labels.tolist(), labels[rows].tolist())
    others = sorted({*range(count)} - {*rows})
    left_out = {**sources.left_out, OTHER_SPLIT[config.split]: [files[row][0] for row in others]}
    names = [] if sources.files is None else [name for row in rows for name in files[row]]
    return PackedImages(folder, rows, names, left_out, config.flip)


class PackedImages:
    """Examples of packed data.

    Args:
        folder: The packed data.
        rows: The examples of the split, by their places in the folder.
        names: The names of the files that these examples come from.
        left_out: Names of all that is no example, by the reason.
        flip: Whether to mirror at random.
    """

    def __init__(
        self,
        folder: PackedFolder,
        rows: Sequence[int],
        names: Sequence[str],
        left_out: Mapping[str, Sequence[str]],
        flip: bool,
    ) -> None:
        self.folder, self.rows, self.flip = folder, np.asarray(rows), flip
        self._names, self._left_out = names, left_out

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.rows)

    def file_names(self) -> list[str]:
        """Return the names of the files that the examples come from, and last the hash of all that was packed.

        Because of the hash, a run that goes on notices not only other files, but also other pixels.
        """
        return [*self._names, f"sha256:{self.folder.index.sha256}"]

    def left_out(self) -> Mapping[str, Sequence[str]]:
        """Return the names of all that is no example, by the reason."""
        return self._left_out

    def labels(self) -> dict[str, Tensor]:
        """Return the class of each example `(N,)`, by the name of the label."""
        specs = self.folder.specs
        arrays = {name: self.folder.array(name) for name, spec in specs.items() if spec.kind == "label"}
        return {name: torch.from_numpy(array[self.rows]) for name, array in arrays.items()}

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return images `(B, C, H, W)` in uint8, and labels `(B,)` in int64."""
        rows = self.rows[np.asarray(indices)]
        batch = {name: torch.from_numpy(self.folder.array(name)[rows]) for name in self.folder.specs}
        if not self.flip:
            return batch
        flipped = randomness.uniform("flip", (len(indices), 1, 1, 1)) < 0.5
        return {
            name: torch.where(flipped, each.flip(-1), each) if each.dim() == IMAGE_AXES else each
            for name, each in batch.items()
        }
