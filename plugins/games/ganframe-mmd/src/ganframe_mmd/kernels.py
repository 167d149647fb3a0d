"""Kernels and the two estimators of the squared maximum mean discrepancy.

N, M: examples of the two batches. D: numbers in an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganframe import BadInput

Kernel = Callable[[Tensor, Tensor, torch.dtype], Tensor]
"""k for all pairs, `(N, M)` in a dtype, from `(N, D)` and `(M, D)`."""


def squared_mmd(x: Tensor, y: Tensor, kernel: Kernel, unbiased: bool) -> Tensor:
    """Estimate E k(x, x') + E k(y, y') - 2 E k(x, y).

    Distances are computed in float64 if the device has it, because those between neighbours are small differences of
    large numbers. Both batches are shifted by their common mean first; the kernels here are invariant to a common
    shift, or depend on it only in parts that cancel.

    Args:
        x: Examples `(N, ...)`.
        y: Examples `(M, ...)` of the same shape.
        kernel: The kernel.
        unbiased: Whether to leave out the pairs of an example with itself.

    Returns:
        A scalar, in at least float32; the biased estimate is >= 0 up to rounding.

    Raises:
        BadInput: When an unbiased estimate is asked for and a batch has a single example.

    References:
        Gretton et al. 2012, JMLR 13:723-773, eq. 3 and 5.
    """
    if unbiased and min(len(x), len(y)) < 2:
        message = "the unbiased estimate of the MMD needs at least 2 examples in a batch"
        raise BadInput(message, remedy="Use a larger `batch_size`, or `estimator: biased`.")
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    wide = dtype if x.device.type == "mps" else torch.float64
    with torch.autocast(x.device.type, enabled=False):
        x, y = (batch.reshape(len(batch), -1).to(wide) for batch in (x, y))
        shift = ((x.mean(0) + y.mean(0)) / 2).detach()
        x, y = x - shift, y - shift
        within = sum(_mean(kernel(batch, batch, dtype), unbiased) for batch in (x, y))
        return within - 2 * kernel(x, y, dtype).mean()


def _mean(similarities: Tensor, unbiased: bool) -> Tensor:
    """Return the mean of k over the pairs of a batch with itself, `(N, N)`."""
    if not unbiased:
        return similarities.mean()
    count = len(similarities)
    return (similarities.sum() - similarities.diagonal().sum()) / (count * (count - 1))


def linear(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x^T y for all pairs."""
    return (x @ y.mT).to(dtype)


def radial(function: Callable[[Tensor], Tensor]) -> Kernel:
    """Return the kernel that is this function of ||x - y||^2."""

    def kernel(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        squared = x.square().sum(1)[:, None] + y.square().sum(1)[None, :] - 2 * x @ y.mT
        return function(squared.clamp(min=0).to(dtype))

    return kernel


def rbf(squared: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Return a sum of Gaussians, sum_s exp(-d^2 / (2 s^2))."""
    # Below e^-87 the result would be denormal, which makes a CPU several times slower.
    return torch.stack([(squared / (-2 * s**2)).clamp(min=-50).exp() for s in bandwidths]).sum(0)


def rational_quadratic(squared: Tensor, alphas: Sequence[float]) -> Tensor:
    """Return a sum of rational quadratic kernels, sum_a (1 + d^2 / (2 a))^-a."""
    return torch.stack([(-a * (squared / (2 * a)).log1p()).exp() for a in alphas]).sum(0)
