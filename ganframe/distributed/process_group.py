"""The processes of a run: connect them, find their devices, and end all of them when one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from ganframe.distributed.collectives import call_collective, gather
from ganframe.distributed.shard import this_shard
from ganframe.errors import BadInput


@contextmanager
def process_group() -> Generator[None, None, None]:
    """Connect to the other processes that torchrun started, if there are any, inside the `with` block.

    Raises:
        RunFailed: When the other processes cannot be reached.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone or dist.is_initialized():
        yield
        return
    call_collective(dist.init_process_group)
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_device(name: str) -> str:
    """Return the device of this process.

    In a run of several processes, `cuda` becomes `cuda:` and the number of the process on its machine: `cuda:2`.
    """
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and this_shard().world_size > 1 else name


@contextmanager
def fail_together() -> Generator[None, None, None]:
    """End all ranks when some of them raise `BadInput` inside the `with` block, with one report of the error.

    The lowest of the ranks that raise reports its error; all other ranks exit with the exit code of `BadInput`.

    Raises:
        BadInput: The error that was raised inside the block, on the rank that reports it.
        SystemExit: On all other ranks.
    """
    problem: BadInput | None = None
    try:
        yield
    except BadInput as found:
        problem = found
    shard = this_shard()
    if shard.world_size > 1:
        failed = gather(torch.tensor([int(problem is not None)])).tolist()
        if any(failed) and shard.rank != failed.index(1):
            sys.exit(BadInput.exit_code)
    if problem is not None:
        raise problem
