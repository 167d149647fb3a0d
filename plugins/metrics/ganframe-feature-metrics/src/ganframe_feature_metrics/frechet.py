"""Means and covariances of features, and the Frechet distance of two Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game import BadInput


class Moments:
    """The mean and covariance of rows that come in parts, in float64.

    Attributes:
        count: Number of rows.
        mean: Their mean, `(D,)`.
        scatter: The sum of outer products of their deviations from the mean, `(D, D)`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        """Return the moments of rows `(N, D)`."""
        moments = cls()
        moments.add(rows)
        return moments

    def add(self, rows: Tensor) -> None:
        """Add rows `(N, D)`."""
        part = Moments()
        part.count = len(rows)
        part.mean = rows.double().mean(dim=0)
        deviations = rows.double() - part.mean
        part.scatter = deviations.T @ deviations
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Add the rows of other moments.

        References:
            Chan et al. 1979, Updating formulae and a pairwise algorithm for computing sample variances, eq. 2.1.
        """
        if not self.count or not other.count:
            if other.count:
                self.count, self.mean, self.scatter = other.count, other.mean, other.scatter
            return
        total = self.count + other.count
        shift = other.mean - self.mean
        between = torch.outer(shift, shift) * (self.count * other.count / total)
        self.scatter = self.scatter + other.scatter + between
        self.mean = self.mean + shift * (other.count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, `(D, D)`; not finite for fewer than two rows."""
        return self.scatter / (self.count - 1) if self.count > 1 else self.scatter * torch.nan


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Frechet distance of two Gaussians: |m_a - m_b|² + tr(A + B - 2 (A B)^(1/2)).

    A B has the eigenvalues of the symmetric A^(1/2) B A^(1/2), and their roots are the singular values of
    B^(1/2) A^(1/2). The trace of the root is their sum. Singular values are exact to the rounding of the largest one,
    where the roots of eigenvalues would be exact only to the root of that.

    Args:
        a: Mean and covariance of one Gaussian.
        b: Mean and covariance of the other.

    Returns:
        A number >= 0.

    Raises:
        BadInput: When the distance is not finite: a set has fewer than two rows, or rows that are not finite.

    References:
        Heusel et al. 2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982, eq. 4.
    """
    if not all(bool(part.isfinite().all()) for set_ in (a, b) for part in (set_.mean, set_.covariance)):
        message = "a mean or covariance of features is not finite"
        raise BadInput(message, remedy="Take at least two samples and two reals, and look at their features.")
    cross = torch.linalg.svdvals(_root(b.covariance).T @ _root(a.covariance)).sum()
    squared = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * cross
    if not bool(squared.isfinite()):
        raise BadInput("the Frechet distance is not finite", remedy="Look at the features: are they very large?")
    return max(0.0, float(squared))


def _root(covariance: Tensor) -> Tensor:
    """Return R with R Rᵀ equal to a covariance: the orthogonal factor of its root does not change singular values."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt()
