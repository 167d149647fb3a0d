"""The processes of a run: join them, find their devices, end them together."""

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
    """Join the other processes that torchrun started, while inside.

    Raises:
        RunFailed: When they cannot be reached.
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
    """Return the device of this process on its machine: `cuda` becomes `cuda:2` in the third process."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and this_shard().world_size > 1 else name


@contextmanager
def fail_together() -> Generator[None, None, None]:
    """End all ranks when one of them raises `BadInput`; the first such rank reports it, the others exit.

    Raises:
        BadInput: What was raised inside.
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
