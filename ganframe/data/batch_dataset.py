"""A PyTorch data set whose item number n is the whole batch number n."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info
from typing_extensions import override

from ganframe.data.dataset import Dataset
from ganframe.data.sampler import Sampler
from ganframe.data.unreadable_files import UnreadableFile, collect_unreadable
from ganframe.errors import BadInput, RunFailed
from ganframe.plugins.author_code import name_of, source_of
from ganframe.randomness import Randomness

MAX_LISTED_EXAMPLES = 16
"""The largest number of examples that an error message lists."""

SHARED_MEMORY_REMEDY = (
    "Make /dev/shm larger (`docker run --shm-size=8g`), remove what other programs left there, or set `train.workers` "
    "to fewer workers or 0, with --allow-changes train.workers."
)
"""How to go on when the shared memory is full."""


class FetchedBatch(NamedTuple):
    """The result of fetching one batch. An error is a value here, so that a loader worker can send it to the run.

    Attributes:
        batch: The named tensors; empty when the fetch failed.
        unreadable: The files that could not be read for the batch.
        failure: The error that ended the fetch; None when the fetch succeeded.
    """

    batch: dict[str, Tensor]
    unreadable: list[UnreadableFile]
    failure: BadInput | RunFailed | None


class BatchDataset(TorchDataset[FetchedBatch]):
    """A map-style PyTorch data set whose item number n is batch number n, so that loader workers fetch whole batches.

    Args:
        dataset: The data set that gives the examples.
        sampler: Gives the indices of the examples of each batch.
        randomness: The source of the data set's random draws, such as flips.
    """

    def __init__(self, dataset: Dataset, sampler: Sampler, randomness: Randomness) -> None:
        self.dataset, self.sampler = dataset, sampler
        self.randomness = Randomness(randomness.seed, randomness.counters, sampler.shard)

    @override
    def __getitem__(self, number: int) -> FetchedBatch:
        draws = self.randomness.at("batch", number)
        with collect_unreadable() as unreadable:
            try:
                batch = self.dataset.fetch(self.sampler.batch(number), draws)
                check_batch(self.dataset, batch)
                if get_worker_info() is not None:
                    batch = _shared(batch)
            except BadInput as problem:
                return FetchedBatch({}, unreadable, problem.within("data"))
            except SharedMemoryFull as problem:
                return FetchedBatch({}, unreadable, problem)
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
        """Return the description of a batch for an error message: its number, its data set and its examples."""
        name = f"{type(self.dataset).__module__}.{type(self.dataset).__qualname__}"
        indices = self.sampler.batch(number)
        listed, others = indices[:MAX_LISTED_EXAMPLES], len(indices) - MAX_LISTED_EXAMPLES
        more = f" and {others} more" if others > 0 else ""
        return f"batch {number} of {name}, the examples {', '.join(map(str, listed))}{more}"


class SharedMemoryFull(RunFailed):
    """No room for the batch of a loader worker."""


def _shared(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch of a loader worker in shared memory, from which the run takes it.

    PyTorch would otherwise move the batch once it is returned: the move would fail, the batch would be lost and the run
    would hang.

    Raises:
        SharedMemoryFull: When there is no room.
    """
    try:
        return {name: tensor.share_memory_() for name, tensor in batch.items()}
    except (RuntimeError, OSError) as problem:
        size = sum(tensor.nbytes for tensor in batch.values()) / 2**20
        raise SharedMemoryFull(
            f"there is no room in shared memory (/dev/shm) for a batch of {size:.3g} MiB from a loader worker: "
            f"{str(problem).splitlines()[0]}; the run can go on with --resume\n"
            f"  {SHARED_MEMORY_REMEDY}"
        ) from None


def check_batch(dataset: Dataset, batch: Any) -> None:
    """Refuse a batch that is no mapping of tensors.

    Raises:
        BadInput: When `batch` is no such mapping. The error names the data set's class, the place of that class, and
            the tensor.
    """
    named = cast(Mapping[str, Any], batch) if isinstance(batch, Mapping) else None
    wrong = [name for name, value in (named or {}).items() if not isinstance(value, Tensor)]
    if named is not None and not wrong:
        return
    what = type(batch).__name__ if named is None else f"{type(named[wrong[0]]).__name__} for {wrong[0]!r}"
    remedy = "Return, for each name of `spec`, a tensor with one row for each index."
    raise BadInput(f"{name_of(type(dataset))}.fetch returned {what}", place=source_of(dataset), remedy=remedy)
