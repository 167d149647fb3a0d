"""The kernel distance and CMMD, against loops over pairs."""

import itertools
import math

import pytest
import torch
from ganframe_feature_metrics import mmd
from ganframe_feature_metrics.mmd import cmmd, gaussian_kernel, kernel_distance, polynomial_kernel, squared_mmd

from ganframe.data import Randomness


def rows(count, dimension, seed=0):
    return Randomness(seed).normal("rows", (count, dimension)).double()


def cubic(a, b):
    return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3


def bell(a, b):
    return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / 200)


def by_pairs(kernel, x, y, unbiased):
    """The estimate of Gretton et al. 2012, one pair at a time."""
    x, y = x.tolist(), y.tolist()
    total = 0.0
    for rows_ in (x, y):
        pairs = itertools.permutations(rows_, 2) if unbiased else itertools.product(rows_, rows_)
        values = [kernel(a, b) for a, b in pairs]
        total += sum(values) / len(values)
    across = [kernel(a, b) for a in x for b in y]
    return total - 2 * sum(across) / len(across)


@pytest.mark.parametrize("block", [2**22, 20])
@pytest.mark.parametrize("unbiased", [True, False])
def test_squared_mmd_is_the_sum_over_pairs(unbiased, block, monkeypatch):
    monkeypatch.setattr(mmd, "BLOCK", block)
    x, y = rows(11, 3), rows(7, 3, seed=1) + 0.5
    for kernel, plain in ((polynomial_kernel, cubic), (gaussian_kernel, bell)):
        assert squared_mmd(x, y, kernel, unbiased) == pytest.approx(by_pairs(plain, x, y, unbiased), abs=1e-12)


def test_squared_mmd_is_that_of_torchmetrics():
    """torchmetrics 1.9.0, `torchmetrics.image.kid.poly_mmd(x[:50], y, degree=3, coef=1)`: 0.19473332266905707."""
    row, column = torch.arange(50, dtype=torch.float64)[:, None], torch.arange(5, dtype=torch.float64)
    x, y = torch.sin(1 + row * (column + 1)), torch.cos(0.5 + row * (column + 2)) * 1.3 + 0.2
    assert squared_mmd(x, y, polynomial_kernel, unbiased=True) == pytest.approx(0.19473332266905707, rel=1e-12)


def test_subsets_of_one_distribution_are_at_no_distance_on_average():
    """The unbiased estimate is 0 in expectation; the biased one would be about 2 / 50 of the kernel's mean diagonal."""
    x, y = rows(2000, 4), rows(2000, 4, seed=1)
    mean, std = kernel_distance(x, y, subsets=200, size=50, seed=0)
    assert abs(mean) < 4 * std / math.sqrt(200)
    assert 0.01 < std < 1
    assert kernel_distance(x, y + 1, subsets=20, size=50, seed=0)[0] > 10 * std


def test_subsets_are_drawn_by_the_seed_and_the_mean_is_about_that_of_the_whole():
    x, y = rows(300, 4), rows(200, 4, seed=1) + 0.5
    first = kernel_distance(x, y, subsets=50, size=40, seed=0)
    assert first == kernel_distance(x, y, subsets=50, size=40, seed=0)
    assert first != kernel_distance(x, y, subsets=50, size=40, seed=1)
    assert first[0] == pytest.approx(squared_mmd(x, y, polynomial_kernel, unbiased=True), abs=first[1])


def test_a_subset_is_no_larger_than_either_set():
    x, y = rows(30, 4), rows(30, 4, seed=1)
    mean, std = kernel_distance(x, y, subsets=5, size=1000, seed=0)
    assert mean == pytest.approx(squared_mmd(x, y, polynomial_kernel, unbiased=True))
    assert std is None
    assert kernel_distance(x, y[:20], subsets=5, size=1000, seed=0)[1] > 0


@pytest.mark.parametrize("unbiased", [True, False])
def test_cmmd_is_a_thousand_times_the_squared_mmd_of_unit_vectors(unbiased):
    x, y = rows(9, 5), rows(6, 5, seed=1) + 1
    unit = [each / each.square().sum(1, keepdim=True).sqrt() for each in (x, y)]
    expected = 1000 * by_pairs(bell, *unit, unbiased)
    assert cmmd(x, y, unbiased) == pytest.approx(expected, abs=1e-9)
    assert cmmd(7 * x, y / 3, unbiased) == pytest.approx(expected, abs=1e-9)


def test_cmmd_of_two_opposite_points():
    """Unit vectors at distance 2: 1000 (1 + 1 - 2 exp(-4 / 200))."""
    x = torch.tensor([[3.0, 0.0], [5.0, 0.0]], dtype=torch.float64)
    assert cmmd(x, -x, unbiased=False) == pytest.approx(2000 * (1 - math.exp(-0.02)), abs=1e-9)
    assert cmmd(x, x, unbiased=False) == pytest.approx(0, abs=1e-9)
