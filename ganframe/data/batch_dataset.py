"""Batches by number, as a map-style PyTorch data set."""

from __future__ import annotations

import traceback
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info
from typing_extensions import override

from ganframe.data.dataset import Dataset
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.data.unreadable_files import UnreadableFile, collect_unreadable
from ganframe.errors import BadInput, RunFailed
from ganframe.randomness import Randomness

MAX_LISTED_EXAMPLES = 16
"""Examples of a batch that a message lists, at most."""


class FetchedBatch(NamedTuple):
    """A batch, the files that could not be read for it, and why it failed: values, so that a worker can send them."""

    batch: dict[str, Tensor]
    unreadable: list[UnreadableFile]
    failure: BadInput | RunFailed | None


class BatchDataset(TorchDataset[FetchedBatch]):
    """Batches by number, as a map-style data set that loader workers can share.

    Args:
        dataset: The data.
        sampler: Which examples a batch has.
        randomness: The draws of augmentation.
    """

    def __init__(self, dataset: Dataset, sampler: EpochShuffleSampler, randomness: Randomness) -> None:
        self.dataset, self.sampler = dataset, sampler
        self.randomness = Randomness(randomness.seed, randomness.counters, sampler.shard)

    @override
    def __getitem__(self, number: int) -> FetchedBatch:
        draws = self.randomness.at("batch", number)
        with collect_unreadable() as unreadable:
            try:
                batch = self.dataset.fetch(self.sampler.batch(number), draws)
                if get_worker_info() is not None:
                    # Where shared memory is full, PyTorch's own move to it would lose the batch and hang the run.
                    batch = {name: tensor.share_memory_() for name, tensor in batch.items()}
            except BadInput as problem:
                return FetchedBatch({}, unreadable, problem.within("data"))
            except Exception as problem:
                return FetchedBatch({}, unreadable, self._run_failed(number, problem))
        return FetchedBatch(batch, unreadable, None)

    def _run_failed(self, number: int, problem: Exception) -> RunFailed:
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        what = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
        message = f"the data set failed at {self.describe_batch(number)}: {what} ({frame.filename}:{frame.lineno})"
        failure = RunFailed(message)
        failure.add_note("".join(traceback.format_exception(problem)))
        return failure

    def describe_batch(self, number: int) -> str:
        """Return the number of a batch, its data set and its examples, for a message."""
        name = f"{type(self.dataset).__module__}.{type(self.dataset).__qualname__}"
        indices = self.sampler.batch(number)
        listed, others = indices[:MAX_LISTED_EXAMPLES], len(indices) - MAX_LISTED_EXAMPLES
        more = f" and {others} more" if others > 0 else ""
        return f"batch {number} of {name}, the examples {', '.join(map(str, listed))}{more}"
