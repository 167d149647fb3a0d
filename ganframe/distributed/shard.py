"""The part of each batch that a rank has."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """The part of each batch that a rank has: one of `world_size` parts of equal size, in the order of the ranks."""

    rank: int = 0
    world_size: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """Return this rank's rows of a tensor that has the whole batch."""
        if self.world_size == 1:
            return whole
        size = len(whole) // self.world_size
        return whole[self.rank * size : (self.rank + 1) * size]


WHOLE_BATCH = Shard()
"""All of the batch: the shard of a single process."""


def this_shard() -> Shard:
    """Return the shard of this process, or `WHOLE_BATCH` if there is no process group."""
    return Shard(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else WHOLE_BATCH


def is_main_process() -> bool:
    """Return whether this process is rank 0, which writes files and prints."""
    return (dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))) == 0
