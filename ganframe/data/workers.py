"""Fetches batches by number, here or in loader workers, and says what is known when that fails."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from torch.utils.data import DataLoader, Sampler

from ganframe.data.batch_dataset import BatchDataset, FetchedBatch
from ganframe.errors import RunFailed


def fetch(source: BatchDataset, number: int, workers: int, *, pin_memory: bool) -> Generator[FetchedBatch, None, None]:
    """The batches from a number on, without end. Closing the generator ends its workers.

    Args:
        source: The batches.
        number: The first.
        workers: Loader processes; 0 fetches in this one.
        pin_memory: Whether a GPU is to take the batches from pinned memory.

    Raises:
        RunFailed: When a loader worker dies.
    """
    if workers:
        yield from _from_workers(source, number, workers, pin_memory)
    else:
        yield from map(source.__getitem__, _count(number))


def _from_workers(
    source: BatchDataset, number: int, workers: int, pin_memory: bool
) -> Generator[FetchedBatch, None, None]:
    loader = DataLoader(
        source,
        sampler=_Numbers(number),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_run,
    )
    others = multiprocessing.active_children()
    with _deaths_are_noticed_where_a_batch_is_awaited():
        batches = iter(loader)
    processes = [each for each in multiprocessing.active_children() if each not in others]
    for place in _count(number):
        try:
            fetched = next(batches)
        except (RuntimeError, OSError, EOFError) as problem:
            dead = _dead(processes)
            if not dead:
                raise
            raise RunFailed(
                f"a loader worker died ({dead}) while {source.say(place)} was awaited; the run can go on with --resume"
            ) from problem
        yield fetched


def _dead(processes: Sequence[BaseProcess]) -> str:
    """Which processes ended, and how. What one had sent is lost a moment before it is known to be dead."""
    ending = wait([each.sentinel for each in processes], timeout=10)
    for each in processes:
        each.join(timeout=10 if each.sentinel in ending else 0)
    return ", ".join(f"process {each.pid} {_end(each.exitcode)}" for each in processes if each.exitcode is not None)


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (", as happens when memory runs out" if name == "SIGKILL" else "")


def _leave_signals_to_the_run(_worker: int) -> None:
    """Terminals and schedulers signal whole groups of processes; the run still needs the batches of its last step."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _deaths_are_noticed_where_a_batch_is_awaited() -> Generator[None, None, None]:
    """Keep PyTorch from raising at the death of a worker wherever the run happens to be, such as in a checkpoint."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)


class _Numbers(Sampler[int]):
    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return _count(self.start)


def _count(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1
