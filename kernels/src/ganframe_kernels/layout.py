"""Memory layouts: which the kernels take as they are, and which are copied first."""

from __future__ import annotations

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Return whether x is (N, C, H, W) with the channels innermost in memory, and not contiguous as well."""
    return x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def dense(x: Tensor) -> Tensor:
    """Return x itself where it is contiguous or channels_last, a contiguous copy otherwise."""
    return x if is_channels_last(x) else x.contiguous()


def dense_like(x: Tensor, other: Tensor) -> Tensor:
    """Return x in the layout of `other`, which is dense; a copy only where the layouts differ."""
    return x.contiguous(memory_format=torch.channels_last if is_channels_last(other) else torch.contiguous_format)
