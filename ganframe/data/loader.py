"""Batches in a seeded order. Batch n is a function of (data, seed, n, rank), so that loading can start at any n."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor

from ganframe.data.batch_dataset import BatchDataset
from ganframe.data.dataset import Dataset
from ganframe.data.sampler import ClassBalancedSampler, EpochShuffleSampler
from ganframe.data.tensor_data import images_as_floats
from ganframe.data.unreadable_files import Quarantine
from ganframe.data.workers import fetch
from ganframe.distributed.shard import WHOLE_BATCH, Shard
from ganframe.errors import BadInput
from ganframe.randomness import Randomness


class BatchLoader:
    """The batches of a run, which can start at any batch number.

    Args:
        dataset: The data set.
        batch_size: Number of examples in a batch, on each rank.
        randomness: The source of the order of examples and of the data set's random draws, such as flips.
        device: The device that batches are moved to.
        workers: Number of loader processes; 0 loads in this process. The batches are the same for every number.
        shard: This rank's part of each global batch, which is the batches of all ranks together.
        quarantine: The list to which unreadable files are added; None keeps no list.
        labels: The class of each example, int64 `(N,)`, to draw every class equally often; None draws every example
            equally often.
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
        labels: Tensor | None = None,
    ) -> None:
        if not len(dataset):
            raise BadInput("there are no examples in the data", path=("data",))
        if labels is None:
            sampler = EpochShuffleSampler(len(dataset), batch_size, randomness, shard)
        else:
            sampler = ClassBalancedSampler(labels, batch_size, randomness, shard)
        self.dataset = BatchDataset(dataset, sampler, randomness)
        self.device, self.workers, self.quarantine = device, workers, quarantine

    def starting_at(self, number: int) -> Generator[dict[str, Tensor], None, None]:
        """Yield batch `number` and those after it, without end. Closing the generator ends its loader workers.

        uint8 images become floats in [-1, 1] once they are on the device.

        Raises:
            BadInput: When the data set raises it, more files are unreadable than allowed, or the saved list of
                unreadable files is malformed.
            RunFailed: When the data set raises any other exception, or a loader worker dies.
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
                yield images_as_floats({name: each.to(self.device, non_blocking=True) for name, each in batch.items()})
