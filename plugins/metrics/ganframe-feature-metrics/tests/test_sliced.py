"""MIND: shifts, point sets and Gaussians whose sliced distance is known."""

import pytest
import torch
from ganframe_feature_metrics import sliced
from ganframe_feature_metrics.sliced import mind
from scipy.stats import wasserstein_distance

from ganframe.data import Randomness


def rows(count, dimension, seed=0):
    return Randomness(seed).normal("rows", (count, dimension)).double()


def test_a_shift_by_m_is_three_times_its_squared_length():
    """Along a unit vector u the distance is (u · m)², |m|² / D on average; alpha is 3 D."""
    x = rows(100, 8)
    shift = torch.tensor([3.0, 0, 0, 0, -4.0, 0, 0, 0], dtype=torch.float64)
    assert mind(x, x + shift, projections=5_000, seed=0) == pytest.approx(75, rel=0.05)


def test_in_one_dimension_points_are_matched_in_order():
    """0 -> 1, 2 -> 3, 10 -> 6: squared moves 1, 1 and 16."""
    x = torch.tensor([[10.0], [0.0], [2.0]], dtype=torch.float64)
    y = torch.tensor([[3.0], [6.0], [1.0]], dtype=torch.float64)
    assert mind(x, y, projections=5, seed=0) == pytest.approx(3 * (1 + 1 + 16) / 3)


def test_sets_of_different_sizes_share_their_mass():
    """Two points of mass 1/2 to three of mass 1/3: 0 -> 0 (1/3), 0 -> 3 (1/6), 6 -> 3 (1/6), 6 -> 6 (1/3)."""
    x = torch.tensor([[0.0], [6.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [3.0], [6.0]], dtype=torch.float64)
    assert mind(x, y, projections=3, seed=0) == pytest.approx(3 * (9 / 6 + 9 / 6))
    assert mind(x, torch.cat([x, x, x]), projections=3, seed=0) == pytest.approx(0)


def test_matching_is_that_of_scipy():
    """Where one set lies above the other, W2² of points on a line minus the squared W1 is the variance of the moves."""
    x, y = rows(7, 1), rows(11, 1, seed=1) + 20
    quantiles = (torch.arange(77) + 0.5) / 77
    moves = y.flatten().sort().values[(quantiles * 11).long()] - x.flatten().sort().values[(quantiles * 7).long()]
    assert moves.mean() == pytest.approx(wasserstein_distance(x.flatten(), y.flatten()))
    assert mind(x, y, projections=2, seed=0) == pytest.approx(3 * float(moves.square().mean()))


def test_gaussians_differ_by_their_deviations():
    """Projections of N(0, s² I) are N(0, s²), at W2² = (s - t)² from N(0, t²): 3 D (2 - 1)²."""
    x, y = rows(20_000, 4), 2 * rows(20_000, 4, seed=1)
    assert mind(x, y, projections=50, seed=0) == pytest.approx(12, rel=0.05)


def test_identical_sets_in_any_order_are_at_no_distance():
    x = rows(50, 6)
    assert mind(x, x.flip(0), projections=100, seed=0) == pytest.approx(0, abs=1e-24)


def test_directions_are_drawn_by_the_seed_and_blocks_do_not_matter(monkeypatch):
    x, y = rows(30, 6), rows(30, 6, seed=1)
    first = mind(x, y, projections=100, seed=0)
    assert first != mind(x, y, projections=100, seed=1)
    monkeypatch.setattr(sliced, "BLOCK", 200)
    assert mind(x, y, projections=100, seed=0) == pytest.approx(first, rel=1e-12)
