"""The specification of minibatch_stddev, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.precision import compute_dtype


def minibatch_stddev(x: Tensor, group: int, channels: int) -> Tensor:
    """Append the deviations to x."""
    deviations = group_stddev(x, group, channels)[:, :, None, None]
    return torch.cat([x, deviations.expand(-1, -1, *x.shape[2:])], 1)


def group_stddev(x: Tensor, group: int, channels: int) -> Tensor:
    """Compute the deviations. Axes of y: sample of the group, group, share of the channels, channel of it, H, W."""
    N, C, H, W = x.shape
    y = x.to(compute_dtype(x.dtype)).reshape(group, N // group, channels, C // channels, H, W)
    y = (y - y.mean(0)).square().mean(0)
    return (y + 1e-8).sqrt().mean([2, 3, 4]).repeat(group, 1).to(x.dtype)


def bwd(dy: Tensor, x: Tensor, group: int, channels: int) -> Grads:
    """Return the gradient of sum(dy * y) by x."""
    return vjp(lambda x: minibatch_stddev(x, group, channels), (x,), (dy,))


def bwdbwd(v: Tensor, dy: Tensor, x: Tensor, group: int, channels: int) -> Grads:
    """Return the gradients of sum(v * dx) by dy and by x."""
    return vjp(lambda dy, x: bwd(dy, x, group, channels)[:1], (dy, x), (v,))
