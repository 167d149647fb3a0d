"""The order in which examples are seen: seeded, without end, and known for any batch number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from ganframe.distributed.shard import Shard
from ganframe.randomness import Randomness


class ShuffledEpochs:
    """An endless sequence of epochs, each a shuffle of the numbers from 0 to `length - 1`.

    Args:
        length: Number of numbers in an epoch.
        randomness: The source of the shuffles.
    """

    def __init__(self, length: int, randomness: Randomness) -> None:
        self.length, self.randomness = length, randomness
        self._epoch = -1
        self._permutation: list[int] = []

    def take(self, first: int, count: int) -> list[int]:
        """Return `count` numbers of the sequence, from position `first` on."""
        taken: list[int] = []
        while len(taken) < count:
            epoch, start = divmod(first + len(taken), self.length)
            taken += self._shuffle(epoch)[start : start + count - len(taken)]
        return taken

    def _shuffle(self, epoch: int) -> list[int]:
        if epoch != self._epoch:
            generator = self.randomness.at(epoch).generator("order")
            self._permutation = torch.randperm(self.length, generator=generator).tolist()
            self._epoch = epoch
        return self._permutation


class Sampler:
    """Base class of endless sequences of examples, cut into batches.

    Args:
        batch_size: Number of examples in a batch, on each rank.
        shard: This rank's part of each global batch, which is the batches of all ranks together.
    """

    def __init__(self, batch_size: int, shard: Shard) -> None:
        self.batch_size, self.shard = batch_size, shard

    def batch(self, number: int) -> list[int]:
        """Return the indices of the examples in this rank's part of batch `number`; batches are counted from 0."""
        return self.take((number * self.shard.world_size + self.shard.rank) * self.batch_size, self.batch_size)

    def take(self, first: int, count: int) -> list[int]:
        """Return the indices of `count` examples of the sequence, from position `first` on."""
        raise NotImplementedError


class EpochShuffleSampler(Sampler):
    """An endless sequence of shuffled epochs, cut into batches.

    A batch at the end of an epoch is filled up from the next epoch, so that no example is dropped.

    Args:
        length: Number of examples in the data set.
        batch_size: Number of examples in a batch, on each rank.
        randomness: The source of the shuffles; the same on every rank.
        shard: This rank's part of each global batch.
    """

    def __init__(self, length: int, batch_size: int, randomness: Randomness, shard: Shard) -> None:
        super().__init__(batch_size, shard)
        self._examples = ShuffledEpochs(length, randomness)

    @override
    def take(self, first: int, count: int) -> list[int]:
        return self._examples.take(first, count)


class ClassBalancedSampler(Sampler):
    """An endless sequence with equally many examples of each class, cut into batches.

    With K classes, each K examples in a row, counted from the first one, are one of each class, in a shuffled order.
    Each class goes through its own shuffled epochs: every example of it is seen before one is seen again. A class
    without examples is left out.

    Args:
        labels: The class of each example, int64 `(N,)`.
        batch_size: Number of examples in a batch, on each rank.
        randomness: The source of the shuffles; the same on every rank.
        shard: This rank's part of each global batch.
    """

    def __init__(self, labels: Tensor, batch_size: int, randomness: Randomness, shard: Shard) -> None:
        super().__init__(batch_size, shard)
        classes: Sequence[int] = labels.unique().tolist()
        self._members = [torch.nonzero(labels == number).flatten().tolist() for number in classes]
        self._examples = [
            ShuffledEpochs(len(members), randomness.at("class", number))
            for number, members in zip(classes, self._members, strict=True)
        ]
        self._classes = ShuffledEpochs(len(classes), randomness.at("classes"))

    @override
    def take(self, first: int, count: int) -> list[int]:
        indices: list[int] = []
        for position, number in enumerate(self._classes.take(first, count), first):
            (example,) = self._examples[number].take(position // len(self._members), 1)
            indices.append(self._members[number][example])
        return indices
