"""Precision, recall, density and coverage, on points where they can be worked out by hand."""

import pytest
import torch
from ganframe_feature_metrics import neighbors
from ganframe_feature_metrics.neighbors import count_in_balls, density_coverage, precision_recall

from ganframe.data import Randomness


def points(*numbers):
    """Points on a line in the plane."""
    return torch.tensor([[float(number), 0.0] for number in numbers], dtype=torch.float64)


REALS = points(0, 1, 2, 10)
"""With k = 1 their balls reach 1, 1, 1 and 8: [-1, 1], [0, 2], [1, 3] and [2, 18]."""
SAMPLES = points(0.5, 2.5, 30)
"""With k = 1 their balls reach 2, 2 and 27.5: [-1.5, 2.5], [0.5, 4.5] and [2.5, 57.5]."""


def test_counts_worked_out_by_hand():
    counts = count_in_balls(SAMPLES, REALS, k=1)
    assert counts.balls.tolist() == [2, 2, 0]
    assert counts.points.tolist() == [1, 1, 1, 1]


def test_precision_and_recall_worked_out_by_hand():
    """Samples 0.5 and 2.5 lie in balls of reals; all reals lie in balls of samples: 10 in that of 30."""
    assert precision_recall(SAMPLES, REALS, k=1) == (pytest.approx(2 / 3), 1.0)
    assert precision_recall(REALS, SAMPLES, k=1) == (1.0, pytest.approx(2 / 3))


def test_density_and_coverage_worked_out_by_hand():
    assert density_coverage(SAMPLES, REALS, k=1) == (pytest.approx(4 / 3), 1.0)
    assert density_coverage(points(0.5, 0.5, 30), REALS, k=1) == (pytest.approx(4 / 3), 0.5)
    # With k = 2 the balls reach 2, 1, 2 and 9: [-2, 2], [0, 2], [0, 4] and [1, 19].
    assert density_coverage(SAMPLES, REALS, k=2) == (pytest.approx((3 + 2 + 0) / 3 / 2), 1.0)


def test_a_point_at_the_edge_of_a_ball_is_in_it():
    assert count_in_balls(points(-1, 3), REALS, k=1).balls.tolist() == [1, 2]


def test_repeated_points_have_balls_of_radius_0_which_hold_them():
    repeated = Randomness(0).normal("point", (1, 50)).double().expand(4, 50)
    assert precision_recall(repeated, repeated, k=3) == (1.0, 1.0)
    assert density_coverage(repeated + 1e-3, repeated, k=3) == (0.0, 0.0)


@pytest.mark.parametrize("block", [2**22, 100])
def test_counts_are_those_of_a_loop_over_pairs(block, monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK", block)
    a, b = (Randomness(seed).normal("points", (40 + seed, 6)).double() for seed in (0, 1))
    balls, inside = [0] * len(a), [0] * len(b)
    for j, center in enumerate(b):
        radius = sorted(float((center - other).norm()) for i, other in enumerate(b) if i != j)[2]
        for i, point in enumerate(a):
            if float((point - center).norm()) <= radius:
                balls[i] += 1
                inside[j] += 1
    counts = count_in_balls(a, b, k=3)
    assert counts.balls.tolist() == balls
    assert counts.points.tolist() == inside


def test_samples_of_the_same_distribution_have_density_1():
    """A new point is in the ball of a real with probability k / M, whatever the distribution."""
    reals, samples = (Randomness(seed).normal("points", (1500, 3)).double() for seed in (0, 1))
    density, coverage = density_coverage(samples, reals, k=5)
    assert density == pytest.approx(1, abs=0.05)
    # None of M samples falls into a ball with probability C(2 M - k - 1, M) / C(2 M - 1, M), which tends to 2⁻ᵏ.
    assert coverage == pytest.approx(1 - 2**-5, abs=0.015)


def test_an_outlier_among_samples_raises_recall_but_not_coverage():
    """The ball of a far sample covers everything, which is why coverage takes balls around reals."""
    reals = points(0, 1, 2, 3, 4, 5)
    samples = points(0, 0.1, 1000)
    assert precision_recall(samples, reals, k=1)[1] == 1
    assert density_coverage(samples, reals, k=1)[1] == pytest.approx(2 / 6)


def test_identical_sets_have_a_density_of_1():
    """Each ball holds its centre and the k - 1 neighbours that are nearer than the k-th, as in the authors' code."""
    reals = Randomness(0).normal("points", (200, 8)).double()
    assert density_coverage(reals, reals, k=5) == (pytest.approx(1), 1.0)
    # With k = 2 the open balls are (-2, 2), (0, 2), (0, 4) and (1, 19): 2 and 0 lie at edges.
    assert density_coverage(points(0, 2), points(0, 1, 2, 10), k=2) == (pytest.approx((1 + 2) / 2 / 2), 0.75)
