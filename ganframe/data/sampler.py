"""The order in which examples are seen: seeded, without end, and known for any batch number."""

from __future__ import annotations

import torch

from ganframe.distributed.shard import Shard
from ganframe.randomness import Randomness


class EpochShuffleSampler:
    """An endless sequence of shuffled epochs, cut into batches.

    A batch at the end of an epoch is filled up from the next epoch, so that no example is dropped.

    Args:
        length: Number of examples in the data set.
        batch_size: Number of examples in a batch, on each rank.
        randomness: The source of the shuffles; the same on every rank.
        shard: This rank's part of each global batch, which is the batches of all ranks together.
    """

    def __init__(self, length: int, batch_size: int, randomness: Randomness, shard: Shard) -> None:
        self.length, self.batch_size, self.randomness, self.shard = length, batch_size, randomness, shard
        self._epoch = -1
        self._permutation: list[int] = []

    def batch(self, number: int) -> list[int]:
        """Return the indices of the examples in this rank's part of batch `number`; batches are counted from 0."""
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
