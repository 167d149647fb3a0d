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
    """An estimate of E k(x, x') + E k(y, y') - 2 E k(x, y).

    Distances are computed in float64 where the device has it: those of neighbours are small differences of large
    numbers. The kernels here do not see a common shift, or only in parts that cancel.

    Args:
        x: Examples `(N, ...)`.
        y: Examples `(M, ...)` of the same shape.
        kernel: The kernel.
        unbiased: Leave out the pairs of an example with itself.

    Returns:
        A scalar, in float32 at the least; >= 0, up to rounding, where it is biased.

    Raises:
        BadInput: When an unbiased estimate is to be made of a single example.
    """
    if unbiased and min(len(x), len(y)) < 2:
        message = "the unbiased estimate of the MMD needs at least 2 examples in a batch"
        raise BadInput(message, remedy="Use a larger `batch_size`, or `estimator: biased`.")
    given = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    wide = given if x.device.type == "mps" else torch.float64
    with torch.autocast(x.device.type, enabled=False):
        x, y = (each.reshape(len(each), -1).to(wide) for each in (x, y))
        shift = ((x.mean(0) + y.mean(0)) / 2).detach()
        x, y = x - shift, y - shift
        within = sum(_mean(kernel(each, each, given), unbiased) for each in (x, y))
        return within - 2 * kernel(x, y, given).mean()


def _mean(similarities: Tensor, unbiased: bool) -> Tensor:
    if not unbiased:
        return similarities.mean()
    count = len(similarities)
    return (similarities.sum() - similarities.diagonal().sum()) / (count * (count - 1))


def linear(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """The inner product x^T y."""
    return (x @ y.mT).to(dtype)


def radial(of_squared_distance: Callable[[Tensor], Tensor]) -> Kernel:
    """A kernel that is a function of ||x - y||^2."""

    def kernel(x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        norms = (each.square().sum(1) for each in (x, y))
        squared = next(norms)[:, None] + next(norms)[None, :] - 2 * x @ y.mT
        return of_squared_distance(squared.clamp(min=0).to(dtype))

    return kernel


def rbf(squared: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """A sum of Gaussians, sum_s exp(-d^2 / (2 s^2))."""
    # Denormal numbers, which would follow below e^-87, take a CPU several times as long.
    return torch.stack([(squared / (-2 * each**2)).clamp(min=-50).exp() for each in bandwidths]).sum(0)


def rational_quadratic(squared: Tensor, alphas: Sequence[float]) -> Tensor:
    """A sum of rational quadratic kernels, sum_a (1 + d^2 / (2 a))^-a."""
    return torch.stack([(-each * (squared / (2 * each)).log1p()).exp() for each in alphas]).sum(0)
