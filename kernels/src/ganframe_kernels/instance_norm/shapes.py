"""Empty tensors for the results of instance norm, for the launchers and for fake tensors alike."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe_kernels.layout import is_channels_last
from ganframe_kernels.precision import compute_dtype


def padded(x: Tensor, padding: int) -> Tensor:
    """Return an empty result: like x, with `padding` more pixels on each side, in its layout."""
    N, C, H, W = x.shape
    shape = (N, C, H + 2 * padding, W + 2 * padding)
    layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return empty tensors for the mean and the reciprocal standard deviation of each plane."""
    mean = torch.empty(x.shape[:2], dtype=compute_dtype(x.dtype), device=x.device)
    return mean, torch.empty_like(mean)
