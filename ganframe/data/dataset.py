"""The protocol of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.randomness import Randomness


class Dataset(Protocol):
    """A source of named tensors, picklable for loader workers."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return a batch: for each name of the spec a tensor with these examples.

        Where a file cannot be read, call `ganframe.data.report_unreadable` and give another example in its place.

        Args:
            indices: Which examples, each in `range(len(self))`.
            randomness: The only source of random draws, such as flips.
        """
        ...
