"""The Frechet distance: closed forms, scipy's matrix root, and moments that come in parts."""

import numpy as np
import pytest
import torch
from ganframe_feature_metrics.frechet import Moments, frechet_distance
from scipy.linalg import sqrtm

from ganframe.config import BadInput
from ganframe.data import Randomness


def rows(count, dimension, seed=0):
    return Randomness(seed).normal("rows", (count, dimension)).double()


def gaussian(mean, covariance):
    """Moments of a Gaussian as if infinitely many rows had been seen."""
    moments = Moments()
    moments.count, moments.mean = 2, torch.tensor(mean, dtype=torch.float64)
    moments.scatter = torch.tensor(covariance, dtype=torch.float64)
    return moments


def waves():
    """Two sets of features that are the same on every machine: 60 and 50 rows of 5 numbers."""
    row, column = torch.arange(60, dtype=torch.float64)[:, None], torch.arange(5, dtype=torch.float64)
    return torch.sin(1 + row * (column + 1)), (torch.cos(0.5 + row * (column + 2)) * 1.3 + 0.2)[:50]


def test_in_one_dimension_it_is_the_difference_of_means_and_of_deviations():
    """W2² of N(m, s²) and N(n, t²) is (m - n)² + (s - t)²."""
    assert frechet_distance(gaussian([1.0], [[4.0]]), gaussian([4.0], [[25.0]])) == pytest.approx(9 + 9, abs=1e-12)


def test_covariances_that_commute_differ_by_their_roots():
    """For diagonal covariances it is the sum over the axes of the one-dimensional distance."""
    a = gaussian([0.0, 1.0, 2.0], [[1.0, 0, 0], [0, 9.0, 0], [0, 0, 0]])
    b = gaussian([1.0, 1.0, 0.0], [[16.0, 0, 0], [0, 1.0, 0], [0, 0, 4.0]])
    assert frechet_distance(a, b) == pytest.approx((1 + 9) + (0 + 4) + (4 + 4), abs=1e-12)


def test_a_rotated_covariance():
    """A = diag(4, 1), and B is A with the axes exchanged: tr (A B)^(1/2) is 2 + 2, so the distance is 5 + 5 - 8."""
    assert frechet_distance(
        gaussian([0.0, 0.0], [[4.0, 0], [0, 1.0]]), gaussian([0.0, 0.0], [[1.0, 0], [0, 4.0]])
    ) == pytest.approx(2, abs=1e-12)


@pytest.mark.parametrize(("count", "dimension"), [(400, 12), (30, 12), (8, 12)])
def test_it_is_that_of_scipys_matrix_root(count, dimension):
    mixing = rows(dimension, dimension, seed=1)
    a, b = rows(count, dimension) @ mixing + 0.3, rows(count + 5, dimension, seed=2) * 1.5
    root = sqrtm(np.cov(a.numpy(), rowvar=False) @ np.cov(b.numpy(), rowvar=False)).real
    means = (a.mean(0) - b.mean(0)).square().sum().item()
    expected = means + np.trace(np.cov(a.numpy(), rowvar=False) + np.cov(b.numpy(), rowvar=False) - 2 * root)
    # The root of a singular matrix is good to the square root of the rounding in scipy.
    accuracy = 1e-9 if count > dimension else 1e-5
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(expected, rel=accuracy)


def test_it_is_that_of_torchmetrics():
    """torchmetrics 1.9.0, `torchmetrics.image.fid._compute_fid` over the same features: 0.5424284663038312."""
    a, b = waves()
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(0.5424284663038312, rel=1e-12)


@pytest.mark.parametrize("count", [500, 10, 2])
def test_identical_sets_are_at_no_distance_even_where_the_covariance_is_singular(count):
    moments = Moments.of(rows(count, 64) * 100)
    assert frechet_distance(moments, moments) < 1e-7


def test_it_is_symmetric():
    a, b = Moments.of(rows(20, 30)), Moments.of(rows(50, 30, seed=1) + 1)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


def test_moments_are_the_mean_and_the_unbiased_covariance():
    features = rows(100, 7)
    moments = Moments.of(features)
    np.testing.assert_allclose(moments.mean.numpy(), np.mean(features.numpy(), axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance.numpy(), np.cov(features.numpy(), rowvar=False), rtol=1e-12)


def test_moments_of_parts_are_those_of_the_whole_even_far_from_the_origin():
    """Sums of squares would lose all digits here: the mean is 10⁷ times the deviation."""
    features = rows(100, 3) + 1e7
    merged = Moments()
    for part in (features[:1], features[1:40]):
        merged.add(part)
    rest = Moments.of(features[40:])
    merged.merge(rest)
    merged.merge(Moments())
    assert merged.count == 100
    np.testing.assert_allclose(merged.covariance.numpy(), np.cov(features.numpy(), rowvar=False), rtol=1e-6)
    empty = Moments()
    empty.merge(rest)
    assert torch.equal(empty.mean, rest.mean)
    assert torch.equal(empty.scatter, rest.scatter)


def test_a_distance_that_is_not_finite_is_refused():
    """The larger of 0 and nan is 0 in Python: a perfect score."""
    fine = Moments.of(rows(20, 4))
    for other in (Moments.of(rows(20, 4) * torch.nan), Moments.of(rows(1, 4))):
        for a, b in ((fine, other), (other, fine)):
            with pytest.raises(BadInput, match="not finite"):
                frechet_distance(a, b)
    with pytest.raises(BadInput, match="distance is not finite"):
        frechet_distance(fine, Moments.of(rows(20, 4) + 1e200))
