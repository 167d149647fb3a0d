"""Batches in a seeded order whose position is a number: batch n is a function of (data, seed, n, rank)."""

from __future__ import annotations

import zipfile
import zlib
from array import array
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganframe.distributed import WHOLE, Shard
from ganframe.errors import BadInput
from ganframe.loading import Source, fetch
from ganframe.protocols import Dataset
from ganframe.quarantine import Quarantine
from ganframe.randomness import Randomness


class Order:
    """An endless stream of shuffled epochs, cut into batches; no example is dropped at the end of an epoch.

    Args:
        length: Examples in the data.
        batch_size: Examples in a batch, on each rank.
        randomness: The draws of the shuffles; the same on every rank.
        shard: Which part of each global batch to take.
    """

    def __init__(self, length: int, batch_size: int, randomness: Randomness, shard: Shard) -> None:
        self.length, self.batch_size, self.randomness, self.shard = length, batch_size, randomness, shard
        self._epoch = -1
        self._permutation: list[int] = []

    def batch(self, number: int) -> list[int]:
        """The indices of batch `number`, counted from 0."""
        first = (number * self.shard.ranks + self.shard.rank) * self.batch_size
        indices: list[int] = []
        while len(indices) < self.batch_size:
            epoch, place = divmod(first + len(indices), self.length)
            indices += self._shuffled(epoch)[place : place + self.batch_size - len(indices)]
        return indices

    def _shuffled(self, epoch: int) -> list[int]:
        if epoch != self._epoch:
            generator = self.randomness.at(epoch).generator("order")
            self._permutation = torch.randperm(self.length, generator=generator).tolist()
            self._epoch = epoch
        return self._permutation


class Batches:
    """The batches of a run, from any number on.

    Args:
        dataset: The data.
        batch_size: Examples in a batch, on each rank.
        randomness: The draws of order and augmentation.
        device: Where batches go.
        workers: Loader processes; the batches do not depend on it.
        shard: Which part of each global batch to take.
        quarantine: Where files that cannot be read are listed; nowhere when None.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        randomness: Randomness,
        device: torch.device,
        workers: int = 0,
        shard: Shard = WHOLE,
        quarantine: Quarantine | None = None,
    ) -> None:
        if not len(dataset):
            raise BadInput("there are no examples in the data", path=("data",))
        self.source = Source(dataset, Order(len(dataset), batch_size, randomness, shard), randomness)
        self.device, self.workers, self.quarantine = device, workers, quarantine

    def starting_at(self, number: int) -> Generator[dict[str, Tensor], None, None]:
        """The batches from `number` on, without end. Closing the generator ends its loader workers.

        Raises:
            BadInput: When the data set cannot go on with its files.
            RunFailed: When the data set fails, or a loader worker dies.
        """
        if self.quarantine is not None:
            self.quarantine.reopen(number)
        batches = fetch(self.source, number, self.workers, pin_memory=self.device.type == "cuda")
        with closing(batches):
            for place, (batch, refusals, failure) in enumerate(batches, number):
                if self.quarantine is not None:
                    self.quarantine.take(place, refusals)
                if failure is not None:
                    raise failure
                yield {name: each.to(self.device, non_blocking=True) for name, each in batch.items()}


class TensorData:
    """A data set that lies in memory.

    Args:
        tensors: Named tensors with the examples along the first axis. uint8 images are given as floats in [-1, 1].
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.tensors.values())))

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """A batch with these examples."""
        # An eighth of the time that torch.tensor takes over a list.
        chosen = torch.frombuffer(array("q", indices), dtype=torch.int64)
        return {name: as_float(values.index_select(0, chosen)) for name, values in self.tensors.items()}


def as_float(values: Tensor) -> Tensor:
    """uint8 pixels as floats in [-1, 1]; anything else as it is."""
    return values.float().div_(127.5).sub_(1) if values.dtype == torch.uint8 else values


LARGEST_ARRAYS = 2**31
"""Bytes that the arrays of a file may take once they are unpacked."""


def read_arrays(file: Path, *names: str) -> list[np.ndarray]:
    """Arrays of an `.npz` file, none of them of Python objects.

    Args:
        file: The file.
        names: Which arrays.

    Raises:
        BadInput: When the file is missing, is none of that kind, lacks an array, or has more than `LARGEST_ARRAYS`.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(each.file_size for each in packed.infolist())
        if size > LARGEST_ARRAYS:
            raise ValueError(f"they take {size:,} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as problem:
        raise BadInput(f"these arrays cannot be read: {problem}", place=str(file)) from None
