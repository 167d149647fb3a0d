"""Batches in a seeded order whose position is a number: batch n is a function of (data, seed, n, rank)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor

from ganframe.data.batch_dataset import BatchDataset
from ganframe.data.dataset import Dataset
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.data.unreadable_files import Quarantine
from ganframe.data.workers import fetch
from ganframe.distributed.shard import WHOLE_BATCH, Shard
from ganframe.errors import BadInput
from ganframe.randomness import Randomness


class BatchLoader:
    """The batches of a run, from any number on.

    Args:
        dataset: The data.
        batch_size: Examples in a batch, on each rank.
        randomness: The draws of order and augmentation.
        device: Where batches go.
        workers: Loader processes; the batches do not depend on it.
        shard: Which part of each global batch to take.
        quarantine: Where unreadable files are listed; nowhere when None.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        randomness: Randomness,
        device: torch.device,
        workers: int = 0,
        shard: Shard = WHOLE_BATCH,
        quarantine: Quarantine | None = None,
    ) -> None:
        if not len(dataset):
            raise BadInput("there are no examples in the data", path=("data",))
        sampler = EpochShuffleSampler(len(dataset), batch_size, randomness, shard)
        self.dataset = BatchDataset(dataset, sampler, randomness)
        self.device, self.workers, self.quarantine = device, workers, quarantine

    def starting_at(self, number: int) -> Generator[dict[str, Tensor], None, None]:
        """Yield the batches from `number` on, without end. Closing the generator ends its loader workers.

        Raises:
            BadInput: When the data set cannot use its files.
            RunFailed: When the data set fails, or a loader worker dies.
        """
        if self.quarantine is not None:
            self.quarantine.restore(number)
        fetched_batches = fetch(self.dataset, number, self.workers, pin_memory=self.device.type == "cuda")
        with closing(fetched_batches):
            for index, (batch, unreadable, failure) in enumerate(fetched_batches, number):
                if self.quarantine is not None:
                    self.quarantine.add(index, unreadable)
                if failure is not None:
                    raise failure
                yield {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
