"""Collectives: exchanges between the ranks (processes) of a run.

Each rank computes its part of every batch, and all ranks take the same optimizer step. In a run of one process nothing
is exchanged: a sum, a mean or a gathered tensor is the input itself. A term that is a mean over examples needs none of
these functions, because the gradients of all ranks are averaged after the backward pass.
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
    """The sum over ranks. Its backward pass is the same sum, so that it can be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.detach().clone(memory_format=torch.contiguous_format)
        call_collective(dist.all_reduce, values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum over all ranks of tensors of the same shape, differentiable any number of times.

    Raises:
        RunFailed: When another rank has ended.
    """
    return values if this_shard().world_size == 1 else _SumOverRanks.apply(values)


def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean over all ranks of tensors of the same shape, differentiable any number of times.

    Raises:
        RunFailed: When another rank has ended.
    """
    world_size = this_shard().world_size
    return values if world_size == 1 else sum_over_ranks(values) / world_size


def gather(values: Tensor) -> Tensor:
    """Return the examples of all ranks, `(world_size * B, ...)`, differentiable any number of times.

    Args:
        values: The examples of this rank, `(B, ...)`, of the same shape on every rank.

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
    """Replace each gradient by its mean over the ranks, in one exchange for each dtype.

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
    """Replace each buffer of floating-point numbers by its mean over the ranks.

    Buffers of modules in eval mode do not change, so they are left out.

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
    """Return the whole of a tensor that may be sharded over the ranks by rows; every rank has to call this."""
    return cast(Any, value).full_tensor() if is_sharded(value) else value


def distribute_like(value: Tensor, model: Tensor) -> Tensor:
    """Return `value` sharded over the ranks like `model`, or `value` itself if `model` is not sharded.

    Args:
        value: The whole tensor, the same on every rank.
        model: A tensor of the same shape, which may be sharded.
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
    """Return the largest of the numbers that the ranks give.

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
    """Return, on every rank, the text that the main process (rank 0) gives.

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
