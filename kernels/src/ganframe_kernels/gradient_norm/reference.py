"""The specification of gradient_norm, in plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from ganframe_kernels.precision import compute_dtype


def squared_norm(x: Tensor) -> Tensor:
    """Compute the sum of squares of each sample, in float32 for the half types."""
    return x.to(compute_dtype(x.dtype)).square()[..., None].flatten(1).sum(1)
