"""The sliced Wasserstein distance of features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganframe.game import Randomness

BLOCK = 2**22
"""Number of projected rows that are in memory at once."""


def mind(x: Tensor, y: Tensor, projections: int, seed: int) -> float:
    """Return 3 D times the mean, over random directions, of the squared 2-Wasserstein distance of the projections.

    For a shift by m alone, this is about 3 |m|².

    Args:
        x: Features of samples, `(N, D)` in float64.
        y: Features of reals, `(M, D)` in float64.
        projections: Number of directions.
        seed: Seed of the directions.

    References:
        Berthet et al. 2026, arXiv:2605.06797, where the factor 3 D is called alpha.
    """
    dimension = x.shape[1]
    drawn = Randomness(seed).normal("directions", (projections, dimension)).double()
    directions = normalize(drawn, dim=1).split(max(1, BLOCK // (len(x) + len(y))))
    total = sum(float(_squared_wasserstein(x @ part.T, y @ part.T).sum()) for part in directions)
    return 3 * dimension * total / projections


def _squared_wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of each column of x `(N, P)` and y `(M, P)`, `(P,)`.

    The best plan moves mass in order. The i-th smallest of N numbers holds the mass from i / N to (i + 1) / N; both
    sets together cut the mass into pieces that lie in one number of each.
    """
    count_x, count_y = len(x), len(y)
    ends = torch.cat([torch.arange(1, count_x + 1) * count_y, torch.arange(1, count_y + 1) * count_x]).unique()
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    mass = (ends - starts).double() / (count_x * count_y)
    moved = x.sort(dim=0).values[starts // count_y] - y.sort(dim=0).values[starts // count_x]
    return (mass[:, None] * moved.square()).sum(dim=0)
