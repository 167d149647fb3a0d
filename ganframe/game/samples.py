"""Samples: each is one tensor, or a tuple of tensors that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Sample = Tensor | tuple[Tensor, ...]
"""A batch: `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors; a tuple if each sample has several tensors."""


def sample_parts(sample: Sample) -> tuple[Tensor, ...]:
    """Return the tensors of a sample as a tuple, even if there is only one."""
    return sample if isinstance(sample, tuple) else (sample,)


def map_parts(sample: Sample, function: Callable[[Tensor], Tensor]) -> Sample:
    """Apply a function to each tensor of a sample."""
    return tuple(map(function, sample)) if isinstance(sample, tuple) else function(sample)


def joined(batches: Sequence[Sample]) -> Sample:
    """Concatenate batches of samples along the batch axis."""
    parts = [torch.cat(part) for part in zip(*map(sample_parts, batches), strict=True)]
    return tuple(parts) if isinstance(batches[0], tuple) else parts[0]


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values `(B,)` to `(B, 1, ..., 1)`, in the dtype of `like`, to broadcast over `like` `(B, ...)`."""
    return values.reshape(-1, *(1,) * (like.ndim - 1)).to(like.dtype)
