"""Batches in a seeded order whose position is a number: batch n is a function of (data, seed, n, rank)."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ganframe.distributed import WHOLE, Shard
from ganframe.protocols import Dataset
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
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        randomness: Randomness,
        device: torch.device,
        workers: int = 0,
        shard: Shard = WHOLE,
    ) -> None:
        self.source = _Source(dataset, Order(len(dataset), batch_size, randomness, shard), randomness)
        self.device, self.workers = device, workers

    def starting_at(self, number: int) -> Iterator[dict[str, Tensor]]:
        """An endless iterator over the batches from `number` on."""
        if self.workers == 0:
            batches = map(self.source.__getitem__, _count(number))
        else:
            batches = iter(
                DataLoader(
                    self.source,
                    sampler=_Numbers(number),
                    batch_size=None,
                    num_workers=self.workers,
                    pin_memory=self.device.type == "cuda",
                    worker_init_fn=_leave_signals_to_the_run,
                )
            )
        for batch in batches:
            yield {name: each.to(self.device, non_blocking=True) for name, each in batch.items()}


class _Source(TorchDataset[dict[str, Tensor]]):
    """Batches by number, as a map-style dataset that loader workers can share."""

    def __init__(self, dataset: Dataset, order: Order, randomness: Randomness) -> None:
        self.dataset, self.order, self.randomness = dataset, order, randomness

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        draws = Randomness(self.randomness.seed, self.randomness.counters, self.order.shard).at("batch", number)
        return self.dataset.fetch(self.order.batch(number), draws)


def _leave_signals_to_the_run(_worker: int) -> None:
    """Terminals and schedulers signal whole groups of processes; the run still needs the batches of its last step."""
    os.setsid()


class _Numbers(torch.utils.data.Sampler[int]):
    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return _count(self.start)


def _count(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1


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
