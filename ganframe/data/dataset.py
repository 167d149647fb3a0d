"""The protocol of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.randomness import Randomness


class Dataset(Protocol):
    """A source of named tensors. It has to be picklable, because each loader worker gets a copy.

    A data set that reads files has one more method, `file_names()`. It returns the path of each file as text, relative
    to the folder of the data, in the order of the examples. A run that is resumed is refused other files, or the same
    ones in another order. Of a data set without the method, only the number of examples and the spec are compared.

    A data set whose content can change under the same names, such as the arrays of one file, has one more method,
    `content_hash()`. It returns a hash of all of it as text. A run that is resumed is refused another content.

    A data set that leaves anything of its source out has one more method, `left_out()`. It returns the names of what
    was left out, by the reason: `{"files of other types": ["notes.txt"]}`. `ganframe explain`, the start of a run and
    the report say it, with the number of examples.

    A data set with class labels has one more method, `labels()`. It returns the class of each example by the name of
    the label, int64 `(N,)`, without reading the examples: `{"label": tensor([0, 2, 2, 1])}`. The setting
    `train.balance_classes` needs it, and so does `ganframe augment --balance`. A run that is resumed is refused
    other labels.
    """

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return a batch: for each name in the spec of the data set, one tensor `(B, ...)` with the examples.

        Images `(B, C, H, W)` may be uint8: `BatchLoader` makes them floats in [-1, 1] once they are on the device.
        Elsewhere, `ganframe.data.images_as_floats` does.

        When the file of an example cannot be read, call `ganframe.data.report_unreadable` and return another example
        in its place.

        Args:
            indices: The indices of the B examples, each in `range(len(self))`.
            randomness: The only source of random draws, such as flips.
        """
        ...
