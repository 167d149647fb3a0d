"""Batches fetched in this process or in loader workers, and the error for a worker that dies."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from torch.utils.data import DataLoader, Sampler
from typing_extensions import override

from ganframe.data.batch_dataset import BatchDataset, FetchedBatch
from ganframe.errors import RunFailed


def fetch(source: BatchDataset, number: int, workers: int, *, pin_memory: bool) -> Generator[FetchedBatch, None, None]:
    """Yield batch `number` and those after it, without end. Closing the generator ends its loader workers.

    Args:
        source: The data set whose items are the batches.
        number: The number of the first batch.
        workers: Number of loader processes; 0 fetches in this process.
        pin_memory: Whether to put the batches into pinned memory, for a GPU.

    Raises:
        RunFailed: When a loader worker dies.
    """
    if workers:
        yield from _fetch_with_workers(source, number, workers, pin_memory)
    else:
        yield from map(source.__getitem__, itertools.count(number))


def _fetch_with_workers(
    source: BatchDataset, first: int, workers: int, pin_memory: bool
) -> Generator[FetchedBatch, None, None]:
    loader = DataLoader(
        source,
        sampler=_NumbersFrom(first),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals,
    )
    others = multiprocessing.active_children()
    with _keep_sigchld_handler():
        batches = iter(loader)
    processes = [process for process in multiprocessing.active_children() if process not in others]
    for number in itertools.count(first):
        try:
            fetched = next(batches)
        except (RuntimeError, OSError, EOFError) as problem:
            dead = _describe_dead(processes)
            if not dead:
                raise
            raise RunFailed(
                f"a loader worker died ({dead}) while the run waited for {source.describe_batch(number)}; "
                "the run can go on with --resume"
            ) from problem
        yield fetched


def _describe_dead(processes: Sequence[BaseProcess]) -> str:
    """Return the processes that ended and how each ended, as text; empty when none ended.

    The pipe of a dying worker breaks a moment before its exit code is known, so this waits for up to 10 seconds until
    one has ended.
    """
    ended = wait([process.sentinel for process in processes], timeout=10)
    for process in processes:
        process.join(timeout=10 if process.sentinel in ended else 0)
    return ", ".join(
        f"process {process.pid} {_describe_exit(process.exitcode)}"
        for process in processes
        if process.exitcode is not None
    )


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    causes = {"SIGKILL": "memory runs out", "SIGBUS": "the shared memory (/dev/shm) is full"}
    return f"was killed by {name}" + (f", as happens when {causes[name]}" if name in causes else "")


def _ignore_signals(_worker: int) -> None:
    """Keep signals that are meant for the run from ending a worker.

    Ctrl-C sends a signal to a whole process group. The run then finishes its step, and needs its workers for that.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _keep_sigchld_handler() -> Generator[None, None, None]:
    """Restore the handler of SIGCHLD that was set before, because PyTorch sets its own when it starts workers.

    PyTorch's handler raises as soon as a worker dies, wherever the run is then, such as in the middle of saving a
    checkpoint. Without that handler, the run notices the death when it next waits for a batch.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)


class _NumbersFrom(Sampler[int]):
    def __init__(self, first: int) -> None:
        self.first = first

    @override
    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)
