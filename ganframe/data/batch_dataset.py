"""Batches by number, as a map-style PyTorch data set."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info

from ganframe.data.dataset import Dataset
from ganframe.data.quarantine import UnreadableFile, collect_unreadable
from ganframe.errors import BadInput, RunFailed
from ganframe.randomness import Randomness

if TYPE_CHECKING:
    from ganframe.data.sampler import EpochShuffleSampler


SAID = 16
"""Examples of a batch that a message names at the most."""


class FetchedBatch(NamedTuple):
    """A batch, what was refused for it, and why there is none: values, so that they are the same from a worker."""

    batch: dict[str, Tensor]
    unreadable: list[UnreadableFile]
    failure: BadInput | RunFailed | None


class BatchDataset(TorchDataset[FetchedBatch]):
    """Batches by number, as a map-style data set that loader workers can share.

    Args:
        dataset: The data.
        order: Which examples a batch has.
        randomness: The draws of augmentation.
    """

    def __init__(self, dataset: Dataset, order: EpochShuffleSampler, randomness: Randomness) -> None:
        self.dataset, self.order = dataset, order
        self.randomness = Randomness(randomness.seed, randomness.counters, order.shard)

    def __getitem__(self, number: int) -> FetchedBatch:
        draws = self.randomness.at("batch", number)
        with collect_unreadable() as unreadable:
            try:
                batch = self.dataset.fetch(self.order.batch(number), draws)
                if get_worker_info() is not None:
                    # Where shared memory is full, PyTorch's own move to it would lose the batch and hang the run.
                    batch = {name: each.share_memory_() for name, each in batch.items()}
            except BadInput as problem:
                return FetchedBatch({}, unreadable, problem.within("data"))
            except Exception as problem:
                return FetchedBatch({}, unreadable, self._failure(number, problem))
        return FetchedBatch(batch, unreadable, None)

    def _failure(self, number: int, problem: Exception) -> RunFailed:
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        what = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
        failure = RunFailed(f"the data set failed at {self.say(number)}: {what} ({frame.filename}:{frame.lineno})")
        failure.add_note("".join(traceback.format_exception(problem)))
        return failure

    def say(self, number: int) -> str:
        """Which data set a batch is of, and which examples it has."""
        name = f"{type(self.dataset).__module__}.{type(self.dataset).__qualname__}"
        indices = self.order.batch(number)
        more = f" and {len(indices) - SAID} more" if len(indices) > SAID else ""
        return f"batch {number} of {name}, the examples {', '.join(map(str, indices[:SAID]))}{more}"
