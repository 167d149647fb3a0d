"""Collectives: exchanges between the ranks (processes) of a run.

Each rank computes its part of every batch, and all ranks take the same optimizer step. In a run of one process, these
functions return their input. A term that is a mean over examples does not need them, because the gradients of all ranks
are averaged after the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganframe.distributed.shard import is_main_process, this_shard
from ganframe.errors import RunFailed

Result = TypeVar("Result")


class _SumOverRanks(torch.autograd.Function):
    """The sum over ranks. Its backward is the same sum, so it can be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.detach().clone(memory_format=torch.contiguous_format)
        call_collective(dist.all_reduce, values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum of `values` over all ranks, differentiable any number of times. All ranks must call this.

    Args:
        values: A tensor of the same shape on every rank.

    Raises:
        RunFailed: When another rank has ended.
    """
    return values if this_shard().world_size == 1 else _SumOverRanks.apply(values)


def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean of `values` over all ranks, differentiable any number of times. All ranks must call this.

    Args:
        values: A tensor of the same shape on every rank.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    return values if world_size == 1 else sum_over_ranks(values) / world_size


def gather(values: Tensor) -> Tensor:
    """Concatenate the examples of all ranks, differentiable any number of times. All ranks must call this.

    Args:
        values: The examples of this rank, `(B, ...)`, of the same shape on every rank.

    Returns:
        The examples in order of rank, `(world_size * B, ...)`.

    Raises:
        RunFailed: When another rank has ended.
    """
    shard = this_shard()
    if shard.world_size == 1:
        return values
    ranks_before, ranks_after = shard.rank, shard.world_size - shard.rank - 1
    before, after = (values.new_zeros(ranks * len(values), *values.shape[1:]) for ranks in (ranks_before, ranks_after))
    return sum_over_ranks(torch.cat([before, values, after]))


def all_reduce_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks, in one all-reduce for each dtype.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    if world_size == 1:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        # The gradients of sharded parameters are means over the ranks already.
        if parameter.grad is not None and not is_sharded(parameter):
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_dtype.values():
        flat = sum_over_ranks(torch.cat([gradient.reshape(-1) for gradient in gradients])) / world_size
        means = flat.split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))


def all_reduce_buffers(players: Iterable[nn.Module]) -> None:
    """Replace each floating-point buffer by its mean over the ranks.

    Buffers of modules in eval mode do not change, so they are skipped.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    if world_size == 1:
        return
    buffers = [
        buffer
        for player in players
        for module in player.modules()
        if module.training
        for buffer in module.buffers(recurse=False)
        if buffer.is_floating_point() and buffer.numel()
    ]
    with torch.no_grad():
        for buffer in buffers:
            buffer.copy_(sum_over_ranks(buffer) / world_size)


def full_tensor(value: Tensor) -> Tensor:
    """Return the whole tensor, gathered from all ranks if it is sharded. Every rank must call this."""
    return cast(Any, value).full_tensor() if is_sharded(value) else value


def distribute_like(value: Tensor, model: Tensor) -> Tensor:
    """Return `value` sharded over the ranks like `model`, or `value` itself if `model` is not sharded.

    Args:
        value: The whole tensor, equal on every rank.
        model: A tensor of the same shape, sharded or not.
    """
    if not is_sharded(model):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor  # as slow to import as the rest of ganframe

    assert isinstance(model, DTensor)
    return distribute_tensor(value, model.device_mesh, model.placements, src_data_rank=None)


def is_sharded(value: Tensor) -> bool:
    """Return whether a tensor is sharded over the ranks."""
    return hasattr(value, "full_tensor")  # a method of DTensor, a class that is slow to import


def max_over_ranks(value: int) -> int:
    """Return the maximum of `value` over all ranks. All ranks must call this.

    Raises:
        RunFailed: When another rank has ended.
    """
    if this_shard().world_size == 1:
        return value
    values = torch.tensor(value)
    call_collective(dist.all_reduce, values, op=dist.ReduceOp.MAX)
    return int(values)


def barrier() -> None:
    """Wait until every rank has called this.

    Raises:
        RunFailed: When another rank has ended.
    """
    max_over_ranks(0)


def broadcast_text(text: str) -> str:
    """Return the text of the main process (rank 0) on every rank. All ranks must call this.

    Raises:
        RunFailed: When another rank has ended.
    """
    if this_shard().world_size == 1:
        return text
    sent = text.encode() if is_main_process() else b""
    size = max_over_ranks(len(sent))
    return bytes(sum_over_ranks(torch.tensor([*sent.ljust(size, b"\0")])).tolist()).rstrip(b"\0").decode()


def call_collective(collective: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Call a function of `torch.distributed` and return its result.

    Raises:
        RunFailed: When another rank has ended or cannot be reached.
    """
    try:
        return collective(*arguments, **options)
    except RuntimeError as problem:
        reason = str(problem).splitlines()[0]
        raise RunFailed(
            f"another process of this run has ended or cannot be reached ({reason}); what was saved is intact, "
            "and the run can go on with --resume"
        ) from problem
