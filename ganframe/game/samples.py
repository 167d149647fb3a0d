"""Samples: one example is one tensor, or several tensors that belong together."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Sample = Tensor | tuple[Tensor, ...]
"""A batch: `(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors; a tuple if a sample has several tensors."""


def sample_parts(sample: Sample) -> tuple[Tensor, ...]:
    """Return the tensors of a sample as a tuple, also when the sample is a single tensor."""
    return sample if isinstance(sample, tuple) else (sample,)


def map_parts(sample: Sample, function: Callable[[Tensor], Tensor]) -> Sample:
    """Apply a function to each tensor of a sample."""
    return tuple(map(function, sample)) if isinstance(sample, tuple) else function(sample)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Return values `(B,)` as `(B, 1, ..., 1)` in the dtype of `like`, to broadcast over `like` `(B, ...)`."""
    return values.reshape(-1, *(1,) * (like.ndim - 1)).to(like.dtype)
