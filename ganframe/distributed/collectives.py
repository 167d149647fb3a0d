"""Many processes, one run: each rank takes its share of every batch, and all of them take the same step.

Outside of a process group every function here does what it does for a single rank, which is nothing. Terms that are a
mean over examples need none of them: their gradients are averaged after the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganframe.distributed.shard import Shard, is_main_process, this_shard
from ganframe.errors import RunFailed

Made = TypeVar("Made")


class _Total(torch.autograd.Function):
    """The sum over ranks, which is its own adjoint, so that it has gradients of every order."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.detach().clone(memory_format=torch.contiguous_format)
        call_collective(dist.all_reduce, values)
        return values

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return sum_over_ranks(slopes[0])


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum over all ranks of tensors of the same shape, differentiable any number of times.

    Raises:
        RunFailed: When another rank has ended.
    """
    return values if this_shard().world_size == 1 else _Total.apply(values)


def mean_over_ranks(values: Tensor) -> Tensor:
    """The mean over all ranks of tensors of the same shape, differentiable any number of times.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    return values if world_size == 1 else sum_over_ranks(values) / world_size


def gather(values: Tensor) -> Tensor:
    """The examples of all ranks, `(ranks * B, ...)`, differentiable any number of times.

    Args:
        values: The examples of this rank, `(B, ...)`; of the same shape on each.

    Raises:
        RunFailed: When another rank has ended.
    """
    shard = this_shard()
    if shard.world_size == 1:
        return values
    before, after = (values.new_zeros(count * len(values), *values.shape[1:]) for count in _others(shard))
    return sum_over_ranks(torch.cat([before, values, after]))


def _others(shard: Shard) -> tuple[int, int]:
    return shard.rank, shard.world_size - shard.rank - 1


def all_reduce_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks, in one exchange for each dtype.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    if world_size == 1:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for each in parameters:
        if each.grad is not None and not _is_sharded(each):  # the gradients of those are means already
            by_dtype.setdefault(each.grad.dtype, []).append(each.grad)
    for gradients in by_dtype.values():
        flat = sum_over_ranks(torch.cat([gradient.reshape(-1) for gradient in gradients])) / world_size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def all_reduce_buffers(players: Iterable[nn.Module]) -> None:
    """Replace each buffer of floating-point numbers by its mean over the ranks.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    if world_size == 1:
        return
    buffers = [each for player in players for each in player.buffers() if each.is_floating_point() and each.numel()]
    with torch.no_grad():
        for each in buffers:
            each.copy_(sum_over_ranks(each) / world_size)


def full_tensor(value: Tensor) -> Tensor:
    """All of a tensor, of which each rank may have some rows; every rank has to ask."""
    return cast(Any, value).full_tensor() if _is_sharded(value) else value


def distribute_like(value: Tensor, model: Tensor) -> Tensor:
    """Of a tensor that every rank has, the rows that this rank has of `model`; all of it where that is all of it."""
    if not _is_sharded(model):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor  # noqa: PLC0415  takes as long as the rest of ganframe

    assert isinstance(model, DTensor)
    return distribute_tensor(value, model.device_mesh, model.placements, src_data_rank=None)


def _is_sharded(value: Tensor) -> bool:
    return hasattr(value, "full_tensor")  # of a DTensor, whose class takes long to import


def max_over_ranks(value: int) -> int:
    """The largest of the numbers that the ranks give.

    Raises:
        RunFailed: When another rank has ended.
    """
    if this_shard().world_size == 1:
        return value
    values = torch.tensor(value)
    call_collective(dist.all_reduce, values, op=dist.ReduceOp.MAX)
    return int(values)


def barrier() -> None:
    """Go on when every rank has come here.

    Raises:
        RunFailed: When another rank has ended.
    """
    max_over_ranks(0)


def broadcast_text(text: str) -> str:
    """What the main process says; the others' words are not heard.

    Raises:
        RunFailed: When another rank has ended.
    """
    if this_shard().world_size == 1:
        return text
    said = text.encode() if is_main_process() else b""
    size = max_over_ranks(len(said))
    return bytes(sum_over_ranks(torch.tensor([*said.ljust(size, b"\0")])).tolist()).rstrip(b"\0").decode()


def call_collective(collective: Callable[..., Made], *arguments: Any, **options: Any) -> Made:
    try:
        return collective(*arguments, **options)
    except RuntimeError as problem:
        first = str(problem).splitlines()[0]
        raise RunFailed(
            f"another process of this run has ended or cannot be reached ({first}); what was saved is intact, "
            "and the run can go on with --resume"
        ) from problem
