"""Statistics over the samples of a batch, in at least float32.

B samples of a batch, C channels, G samples of a group, M groups.
"""

from __future__ import annotations

import torch
from ganframe_kernels.minibatch_stddev import group_stddev
from torch import Tensor, nn


class Closeness(nn.Module):
    """o(x_i)_k = sum_j exp(-||M_ik - M_jk||_1), where M_ik is the k-th projection of the features of sample i.

    The sum is over the whole batch, x_i itself included, so o lies in [1, B].

    Args:
        channels: Channels of the features.
        kernels: Number of projections.
        dimensions: Dimension of each projection.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.2.
    """

    def __init__(self, channels: int, kernels: int, dimensions: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(channels, kernels * dimensions, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return `(B, kernels)` for features `(B, C, ...)`, which are averaged over their positions."""
        with torch.autocast(features.device.type, enabled=False):
            projected = self.project(pooled(features).to(self.project.weight.dtype)).unflatten(1, (self.kernels, -1))
            distances = (projected[:, None] - projected[None]).abs().sum(3)
            return torch.exp(-distances).sum(1)


class Deviation(nn.Module):
    """The standard deviation over a group of samples, averaged over positions and an equal share of the channels.

    Sample i belongs to group i mod M. The variance is divided by G, not G - 1, and 1e-8 is added to it, so that the
    deviation has a gradient when all samples are equal.

    Args:
        group_size: Number of samples in a group, G; the whole batch when None.
        shares: Number of shares of the channels, with one deviation each.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 3; groups as in Karras et al. 2019, arXiv:1812.04948.
    """

    def __init__(self, group_size: int | None, shares: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.shares = shares

    def forward(self, features: Tensor) -> Tensor:
        """Return `(B, shares)` for features `(B, C, ...)`."""
        size = len(features)
        group = divisor(size, self.group_size or size)
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        planes = wide if wide.ndim == 4 else wide.reshape(*wide.shape[:2], -1, 1)
        return group_stddev(planes, group, self.shares)


def divisor(size: int, limit: int) -> int:
    """Return the largest divisor of `size` that is at most `limit`."""
    return next(number for number in range(min(size, limit), 0, -1) if size % number == 0)


def pooled(features: Tensor) -> Tensor:
    """Average features `(B, C, ...)` over their positions, to `(B, C)`."""
    return features if features.ndim == 2 else features.flatten(2).mean(2)
