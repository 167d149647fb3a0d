"""One of several ranks, with the others played by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor


def pretend_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int) -> None:
    """Make this process look like a rank of a process group; collectives still have to be replaced."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "get_world_size", lambda: world_size)


def pretend_ranks(
    monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int, others: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Be a rank whose exchanges work.

    Args:
        monkeypatch: The fixture.
        rank: The rank of this process.
        world_size: How many ranks there are.
        others: Returns what the other ranks together answer to what this one sends.

    Returns:
        What this rank sends, which grows.
    """
    sent = list[Tensor]()

    def all_reduce(values: Tensor, op: Any = dist.ReduceOp.SUM) -> None:
        sent.append(values.clone())
        came = others(values)
        values.copy_(torch.maximum(values, came) if op == dist.ReduceOp.MAX else values + came)

    pretend_rank(monkeypatch, rank, world_size)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    return sent
