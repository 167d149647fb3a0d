"""Data sets in memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.randomness import Randomness


class TensorData:
    """A data set in memory.

    Args:
        tensors: Named tensors with the examples along the first axis. Images may be uint8: `fetch` returns them as
            floats in [-1, 1].
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(next(iter(self.tensors.values())))

    def labels(self) -> dict[str, Tensor]:
        """Return each tensor of one int64 number for each example, `(N,)`, which class labels are."""
        return {
            name: values for name, values in self.tensors.items() if values.dtype == torch.int64 and values.ndim == 1
        }

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return the named tensors `(B, ...)` of the B examples with these indices."""
        # This takes an eighth of the time of `torch.tensor(indices)`.
        rows = torch.frombuffer(array("q", indices), dtype=torch.int64)
        return {name: as_float(values.index_select(0, rows)) for name, values in self.tensors.items()}


def as_float(values: Tensor) -> Tensor:
    """Return uint8 pixels as floats in [-1, 1], and a tensor of any other dtype unchanged."""
    return values.float().div_(127.5).sub_(1) if values.dtype == torch.uint8 else values
