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
    """Connect to the other processes that torchrun started, if any, inside the `with` block.

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
    """Return the name of this process's device: in a run of several processes, `cuda` becomes `cuda:LOCAL_RANK`."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and this_shard().world_size > 1 else name


@contextmanager
def fail_together() -> Generator[None, None, None]:
    """End all ranks if some of them raise `BadInput` inside the `with` block, with a single report of the error.

    All ranks must enter the block.

    Raises:
        BadInput: The error, on the lowest rank that raised one.
        SystemExit: On all other ranks, with the exit code of `BadInput`.
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
