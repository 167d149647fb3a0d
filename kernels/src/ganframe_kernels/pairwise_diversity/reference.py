"""The specification of pairwise_diversity, in plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from ganframe_kernels.precision import compute_dtype


def factor(n: int, reduction: str) -> float:
    """Return the factor of the summed squared distances of n samples to their mean."""
    if reduction == "sum":
        return float(n)
    return 2.0 / (n - 1) if n > 1 else 0.0


def pairwise_diversity(x: Tensor, reduction: str) -> Tensor:
    """Compute N sum_i ||x_i - m||^2, which is sum_{i<j} ||x_i - x_j||^2, in float32 for the half types."""
    x = x.to(compute_dtype(x.dtype))
    if not x.numel():
        return x.sum()
    # Where the samples are close together, their differences are exact, while the mean of the raw numbers is rounded.
    x = x - x[0].detach()
    return (x - x.mean(0)).square().sum() * factor(x.shape[0], reduction)
