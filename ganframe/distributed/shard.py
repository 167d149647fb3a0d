"""Shards: the part of each batch that a rank (process) computes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """The part of each batch that a rank computes: one of `world_size` equal parts, in order of rank."""

    rank: int = 0
    world_size: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """Return this rank's rows of a tensor of the whole batch."""
        if self.world_size == 1:
            return whole
        size = len(whole) // self.world_size
        return whole[self.rank * size : (self.rank + 1) * size]


WHOLE_BATCH = Shard()
"""The shard of a single process: the whole batch."""


def this_shard() -> Shard:
    """Return the shard of this process, or `WHOLE_BATCH` if there is no process group."""
    return Shard(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else WHOLE_BATCH


def is_main_process() -> bool:
    """Return whether this process is rank 0, which writes files and prints."""
    return (dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))) == 0
