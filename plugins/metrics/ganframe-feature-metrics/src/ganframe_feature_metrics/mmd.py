"""The squared maximum mean discrepancy of two sets of features, and its kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ganframe.game import Randomness

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Maps rows `(N, D)` and `(M, D)` to the kernel's value for each pair, `(N, M)`."""

BLOCK = 2**22
"""Number of pairs whose kernel is in memory at once."""

CMMD_SIGMA = 10.0
"""Width of CMMD's Gaussian kernel."""
CMMD_SCALE = 1000.0
"""Factor of CMMD, which makes its values readable."""


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return (x · y / D + 1)³ for each pair of rows: the kernel of Binkowski et al. 2018, arXiv:1801.01401, eq. 3."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return exp(-|x - y|² / (2 sigma²)) with sigma 10 for each pair of rows."""
    squared = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1) - 2 * x @ y.T
    return torch.exp(-squared / (2 * CMMD_SIGMA**2))


def squared_mmd(x: Tensor, y: Tensor, kernel: Kernel, unbiased: bool) -> float:
    """Return the squared maximum mean discrepancy of two sets.

    Args:
        x: One set, `(N, D)` in float64.
        y: The other, `(M, D)` in float64.
        kernel: The kernel.
        unbiased: Leave out the pairs of a row with itself.

    Returns:
        The estimate; at least 0 if it is biased.

    References:
        Gretton et al. 2012, A kernel two-sample test, eq. 3 (unbiased) and eq. 5 (biased).
    """
    within_x, within_y = _mean_within(x, kernel, unbiased), _mean_within(y, kernel, unbiased)
    return within_x + within_y - 2 * _mean_across(x, y, kernel)


def kernel_distance(x: Tensor, y: Tensor, subsets: int, size: int, seed: int) -> tuple[float, float | None]:
    """Return the mean and standard deviation of the unbiased squared MMD over random subsets.

    Args:
        x: Features of samples, `(N, D)` in float64.
        y: Features of reals, `(M, D)` in float64.
        subsets: Number of subsets.
        size: Rows of each set in a subset, at most N and M.
        seed: Seed of the subsets.

    Returns:
        The mean, and the standard deviation; None for it if there is but one subset, or each is
        the whole of both sets.

    References:
        Binkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    size = min(size, len(x), len(y))
    if size == len(x) == len(y):  # every subset is the whole
        subsets = 1
    values: list[float] = []
    for number in range(subsets):
        randomness = Randomness(seed).at("kernel-distance", number)
        chosen = [
            rows[torch.randperm(len(rows), generator=randomness.generator(name))[:size]]
            for name, rows in (("samples", x), ("reals", y))
        ]
        values.append(squared_mmd(chosen[0], chosen[1], polynomial_kernel, unbiased=True))
    found = torch.tensor(values, dtype=torch.float64)
    return float(found.mean()), float(found.std(correction=0)) if subsets > 1 else None


def cmmd(x: Tensor, y: Tensor, unbiased: bool) -> float:
    """Return 1,000 times the squared MMD of features that are scaled to unit length.

    Args:
        x: Features of samples, `(N, D)` in float64.
        y: Features of reals, `(M, D)` in float64.
        unbiased: Leave out the pairs of a row with itself.

    References:
        Jayasumana et al. 2024, arXiv:2401.09603, section 4.
    """
    unit = [torch.nn.functional.normalize(rows, dim=1) for rows in (x, y)]
    return CMMD_SCALE * squared_mmd(unit[0], unit[1], gaussian_kernel, unbiased)


def _mean_within(x: Tensor, kernel: Kernel, unbiased: bool) -> float:
    total = with_itself = 0.0
    for start, block in _blocks(x, len(x)):
        values = kernel(block, x)
        total += float(values.sum())
        with_itself += float(values.diagonal(start).sum())
    return (total - with_itself) / (len(x) * (len(x) - 1)) if unbiased else total / len(x) ** 2


def _mean_across(x: Tensor, y: Tensor, kernel: Kernel) -> float:
    return sum(float(kernel(block, y).sum()) for _, block in _blocks(x, len(y))) / (len(x) * len(y))


def _blocks(x: Tensor, width: int) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks of rows, each with the number of its first row; a block times `width` is at most `BLOCK` pairs."""
    rows = max(1, BLOCK // width)
    for start in range(0, len(x), rows):
        yield start, x[start : start + rows]
