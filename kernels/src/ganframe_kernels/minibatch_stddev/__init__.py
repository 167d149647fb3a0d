"""StyleGAN2's minibatch standard deviation, forward and backward in one kernel each, with gradients of every order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.checks import check_floating, check_rank, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense, is_channels_last
from ganframe_kernels.minibatch_stddev import reference

__all__ = ["group_stddev", "minibatch_stddev"]


def minibatch_stddev(x: Tensor, group_size: int | None = 4, num_channels: int = 1) -> Tensor:
    """Append to x how much its samples vary within groups: Karras et al. 2018, arXiv:1710.10196, section 3.

    The batch is divided into N / G groups; sample n belongs to group n modulo N / G, as in StyleGAN2 (Karras et al.
    2020, arXiv:1912.04958, appendix B). The deviation sqrt(variance + 1e-8) over a group is averaged over pixels and
    over each of `num_channels` equal shares of the channels; all samples of the group get the averages as constant
    channels.

    Args:
        x: (N, C, H, W), any layout.
        group_size: Samples in a group: G = min(group_size, N), which must divide N. None is the whole batch.
        num_channels: How many channels are appended, F; a divisor of C.

    Returns:
        (N, C + F, H, W), in x's dtype, and in its layout where that is contiguous or channels_last.

    Raises:
        TypeError: x is not a floating tensor.
        ValueError: x is not of rank 4 or has no channels or pixels, or an option does not fit it.
    """
    group = _group(x, group_size, num_channels)
    if not use_triton(x, "minibatch_stddev"):
        return reference.minibatch_stddev(x, group, num_channels)
    return fwd(dense(x), group, num_channels)


def group_stddev(x: Tensor, group_size: int | None = 4, num_channels: int = 1) -> Tensor:
    """Compute only the numbers that `minibatch_stddev` appends to x, for discriminators that use them in another way.

    Args:
        x: See `minibatch_stddev`, as for group_size and num_channels.
        group_size: Samples in a group.
        num_channels: How many numbers there are for each sample.

    Returns:
        (N, num_channels), in x's dtype.

    Raises:
        TypeError: See `minibatch_stddev`.
        ValueError: See `minibatch_stddev`.
    """
    group = _group(x, group_size, num_channels)
    if not use_triton(x, "minibatch_stddev"):
        return reference.group_stddev(x, group, num_channels)
    return fwd(dense(x), group, num_channels)[:, x.shape[1] :, 0, 0]


def _group(x: Tensor, group_size: int | None, num_channels: int) -> int:
    """Check the arguments; return the number of samples in a group."""
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    N, C = x.shape[:2]
    if 0 in x.shape[1:]:
        raise value_error("x", "at least one channel and pixel", f"shape {tuple(x.shape)}")
    if group_size is not None and group_size < 1:
        raise value_error("group_size", "None or at least 1", group_size)
    group = max(N if group_size is None else min(group_size, N), 1)
    if N % group:
        raise value_error("group_size", f"a divisor of the batch of {N}, or at least {N}", group_size)
    if num_channels < 1 or C % num_channels:
        raise value_error("num_channels", f"a divisor of the {C} channels of x", num_channels)
    return group


# The operators. x is dense; other tensors are converted to its layout.


def _result_fake(x: Tensor, channels: int) -> Tensor:
    memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    shape = (x.shape[0], x.shape[1] + channels, *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format)


def _bwdbwd_fake(v: Tensor, dy: Tensor, x: Tensor, group: int, channels: int) -> tuple[Tensor, Tensor]:
    return _result_fake(x, channels), torch.empty_like(x)


def _bwdbwd_backward(ctx: Any, *grads: Tensor) -> Grads:
    def function(v: Tensor, dy: Tensor, x: Tensor) -> Any:
        return reference.bwdbwd(v, dy, x, *ctx.options)

    return vjp(function, ctx.saved_tensors, grads)


@operator("ganframe_kernels::minibatch_stddev_bwdbwd", fake=_bwdbwd_fake, backward=_bwdbwd_backward)
def bwdbwd(v: Tensor, dy: Tensor, x: Tensor, group: int, channels: int) -> tuple[Tensor, Tensor]:
    """Return the gradients of sum(v * dx) by dy and by x, for the dx that `bwd` returns."""
    from ganframe_kernels.minibatch_stddev import kernels  # needs Triton

    return kernels.bwdbwd(v, dy, x, group, channels)


def _bwd_fake(dy: Tensor, x: Tensor, group: int, channels: int) -> Tensor:
    return torch.empty_like(x)


def _bwd_backward(ctx: Any, v: Tensor) -> Grads:
    dy, x = ctx.saved_tensors
    return bwdbwd(v, dy, x, *ctx.options)


@operator("ganframe_kernels::minibatch_stddev_bwd", fake=_bwd_fake, backward=_bwd_backward)
def bwd(dy: Tensor, x: Tensor, group: int, channels: int) -> Tensor:
    """Return the gradient of sum(dy * y) by x."""
    from ganframe_kernels.minibatch_stddev import kernels  # needs Triton

    return kernels.bwd(dy, x, group, channels)


def _fwd_fake(x: Tensor, group: int, channels: int) -> Tensor:
    return _result_fake(x, channels)


def _fwd_backward(ctx: Any, dy: Tensor) -> Grads:
    (x,) = ctx.saved_tensors
    return (bwd(dy, x, *ctx.options),)


@operator("ganframe_kernels::minibatch_stddev_fwd", fake=_fwd_fake, backward=_fwd_backward)
def fwd(x: Tensor, group: int, channels: int) -> Tensor:
    """See `minibatch_stddev`."""
    from ganframe_kernels.minibatch_stddev import kernels  # needs Triton

    return kernels.fwd(x, group, channels)
