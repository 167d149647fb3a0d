"""Memory layouts: what the kernels take as it is, and what they copy first."""

from __future__ import annotations

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Whether x is (N, C, H, W) with the channels innermost in memory, and not contiguous as well."""
    return x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def dense(x: Tensor) -> Tensor:
    """The tensor itself where it is contiguous or channels_last, a contiguous copy otherwise."""
    return x if is_channels_last(x) else x.contiguous()


def dense_like(x: Tensor, other: Tensor) -> Tensor:
    """The tensor x in the layout of `other`, which is dense; a copy only where the layouts differ."""
    return x.contiguous(memory_format=torch.channels_last if is_channels_last(other) else torch.contiguous_format)
