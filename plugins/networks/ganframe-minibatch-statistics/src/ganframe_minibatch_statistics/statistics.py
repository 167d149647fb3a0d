"""Statistics over the samples of a batch, in at least float32.

B samples of a batch, C channels, G samples of a group, M groups.
"""

from __future__ import annotations

import torch
from ganframe_kernels.minibatch_stddev import group_stddev
from torch import Tensor, nn


class Closeness(nn.Module):
    """o(x_i)_k = sum_j exp(-||M_ik - M_jk||_1), M_ik the k-th projection of the features of sample i.

    The sum is over the whole batch, x_i itself included, so that o lies in [1, B].

    Args:
        channels: Channels of the features.
        kernels: How many projections there are.
        dimensions: Numbers of a projection.
    """

    def __init__(self, channels: int, kernels: int, dimensions: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(channels, kernels * dimensions, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """`(B, kernels)` from features `(B, C, ...)`, which are averaged over their positions."""
        with torch.autocast(features.device.type, enabled=False):
            projected = self.project(pooled(features).to(self.project.weight.dtype)).unflatten(1, (self.kernels, -1))
            distances = (projected[:, None] - projected[None]).abs().sum(3)
            return torch.exp(-distances).sum(1)


class Deviation(nn.Module):
    """The standard deviation over a group of samples, averaged over positions and an equal share of the channels.

    Sample i belongs to group i mod M. The deviation is that of the group itself (over G, not G - 1), with 1e-8 added to
    the variance, so that it has a gradient also where all samples are equal.

    Args:
        group_size: Samples in a group; the whole batch when None.
        shares: Shares of the channels, with a number each.
    """

    def __init__(self, group_size: int | None, shares: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.shares = shares

    def forward(self, features: Tensor) -> Tensor:
        """`(B, shares)` from features `(B, C, ...)`."""
        size = len(features)
        group = divisor(size, self.group_size or size)
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        planes = wide if wide.ndim == 4 else wide.reshape(*wide.shape[:2], -1, 1)
        return group_stddev(planes, group, self.shares)


def divisor(size: int, limit: int) -> int:
    """The largest divisor of `size` that is at most `limit`."""
    return next(each for each in range(min(size, limit), 0, -1) if size % each == 0)


def pooled(features: Tensor) -> Tensor:
    """`(B, C)`: features `(B, C, ...)` averaged over their positions."""
    return features if features.ndim == 2 else features.flatten(2).mean(2)
