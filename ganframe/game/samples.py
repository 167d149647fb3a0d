"""Samples: one tensor, or several that belong together."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Sample = Tensor | tuple[Tensor, ...]
"""`(B, C, H, W)` in [-1, 1] for images, `(B, D)` for vectors; a tuple where a sample has several tensors."""


def sample_parts(sample: Sample) -> tuple[Tensor, ...]:
    """Return the tensors of a sample, also when it is just one."""
    return sample if isinstance(sample, tuple) else (sample,)


def map_parts(sample: Sample, function: Callable[[Tensor], Tensor]) -> Sample:
    """Apply a function to each tensor of a sample."""
    return tuple(map(function, sample)) if isinstance(sample, tuple) else function(sample)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Reshape one number for each example, `(B,)`, so that it broadcasts over a tensor `(B, ...)`, in its dtype."""
    return values.reshape(-1, *(1,) * (like.ndim - 1)).to(like.dtype)
