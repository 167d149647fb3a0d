"""Balls around features, which reach to the k-th nearest neighbour, and what lies in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**22
"""Number of pairs whose distances are in memory at once."""
TOLERANCE = 1e-5
"""Relative tolerance of squared distances, so that a point at the edge of a ball counts as at the edge whatever the
rounding."""
NEGLIGIBLE = 1e-12
"""A squared distance below this share of the squared lengths is rounding, and is 0."""


@dataclass(frozen=True)
class Counts:
    """Counts of the points in balls around a set of centres.

    Attributes:
        balls: Number of balls that each point lies in, `(N,)`.
        points: Number of points in the ball around each centre, `(M,)`.
    """

    balls: Tensor
    points: Tensor


def precision_recall(samples: Tensor, reals: Tensor, k: int) -> tuple[float, float]:
    """Return the share of samples in balls around reals, and the share of reals in balls around samples.

    Args:
        samples: Features of samples, `(N, D)` in float64.
        reals: Features of reals, `(M, D)` in float64.
        k: A ball reaches to the k-th nearest neighbour of its centre in the centre's set; less than N and M.

    References:
        Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2.
    """
    around_reals, around_samples = count_in_balls(samples, reals, k), count_in_balls(reals, samples, k)
    return _share(around_reals.balls > 0), _share(around_samples.balls > 0)


def density_coverage(samples: Tensor, reals: Tensor, k: int) -> tuple[float, float]:
    """Return the mean number of balls around reals that a sample lies in, over k, and the share of balls with samples.

    Args:
        samples: Features of samples, `(N, D)` in float64.
        reals: Features of reals, `(M, D)` in float64.
        k: A ball reaches to the k-th nearest neighbour of its centre among the reals; less than M.

    References:
        Naeem et al. 2020, arXiv:2002.09797, eq. 2 and 3. The balls are open, as in the authors' own code, so that
        identical sets have a density of 1.
    """
    counts = count_in_balls(samples, reals, k, closed=False)
    return float(counts.balls.double().mean()) / k, _share(counts.points > 0)


def count_in_balls(points: Tensor, centers: Tensor, k: int, closed: bool = True) -> Counts:
    """Count points in balls around centres.

    Args:
        points: `(N, D)` in float64.
        centers: `(M, D)` in float64.
        k: A ball reaches to the k-th nearest of the other centres; less than M.
        closed: Whether a point at the edge of a ball is in it.
    """
    radii = torch.cat([_kth_smallest(distances, k) for distances in _distances(centers, centers, apart=True)])
    reach = radii * (1 + TOLERANCE if closed else 1 - TOLERANCE)
    balls: list[Tensor] = []
    inside = torch.zeros(len(centers), dtype=torch.int64)
    for distances in _distances(points, centers):
        within = distances <= reach if closed else distances < reach
        balls.append(within.sum(dim=1))
        inside += within.sum(dim=0)
    return Counts(torch.cat(balls), inside)


def _distances(points: Tensor, centers: Tensor, apart: bool = False) -> Iterator[Tensor]:
    """Yield squared distances of blocks of points to all centres; infinite to itself if `apart`."""
    lengths = centers.square().sum(dim=1)
    rows = max(1, BLOCK // len(centers))
    for start in range(0, len(points), rows):
        block = points[start : start + rows]
        both = block.square().sum(dim=1, keepdim=True) + lengths
        squared = both - 2 * block @ centers.T
        squared = torch.where(squared < NEGLIGIBLE * both, 0.0, squared)
        if apart:
            squared.diagonal(start).fill_(torch.inf)
        yield squared


def _kth_smallest(distances: Tensor, k: int) -> Tensor:
    return distances.kthvalue(k, dim=1).values


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
