"""The order in which examples are seen: seeded, endless, and known by number."""

from __future__ import annotations

import torch

from ganframe.distributed.shard import Shard
from ganframe.randomness import Randomness


class EpochShuffleSampler:
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
        """Return the indices of batch `number`, counted from 0."""
        first = (number * self.shard.world_size + self.shard.rank) * self.batch_size
        indices: list[int] = []
        while len(indices) < self.batch_size:
            epoch, start = divmod(first + len(indices), self.length)
            indices += self._shuffle(epoch)[start : start + self.batch_size - len(indices)]
        return indices

    def _shuffle(self, epoch: int) -> list[int]:
        if epoch != self._epoch:
            generator = self.randomness.at(epoch).generator("order")
            self._permutation = torch.randperm(self.length, generator=generator).tolist()
            self._epoch = epoch
        return self._permutation
