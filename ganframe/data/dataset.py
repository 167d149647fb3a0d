"""The protocol of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.randomness import Randomness

    Sample = Tensor | tuple[Tensor, ...]


class Dataset(Protocol):
    """A source of named tensors, picklable for loader workers."""

    def __len__(self) -> int:
        """How many examples there are."""
        ...

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """A batch: for each name of the spec a tensor with these examples.

        Where a file cannot be read, `ganframe.data.quarantine.refuse` it and give another example in its place.

        Args:
            indices: Which examples, each in `range(len(self))`.
            randomness: The only source of random draws, such as flips.
        """
        ...
