"""The inception score: closed forms, and the sum as the paper writes it."""

import math

import pytest
import torch
from ganframe_feature_metrics.inception_score import inception_score

from ganframe.data import Randomness


def logits_of(probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_unsure_predictions_score_1():
    assert inception_score(torch.zeros(20, 5, dtype=torch.float64), splits=4) == (pytest.approx(1), pytest.approx(0))


def test_sure_and_even_predictions_score_the_number_of_classes():
    """Also where a probability is exactly 0, which has no logarithm."""
    one_hot = torch.eye(5, dtype=torch.float64).repeat(4, 1)
    assert inception_score(one_hot.log(), splits=2)[0] == pytest.approx(5)


def test_sure_predictions_of_one_class_score_1():
    assert inception_score(logits_of([[1.0, 0.0]] * 6), splits=1) == (pytest.approx(1), 0)


def test_a_mixture_worked_out_by_hand():
    """p = (3/4, 1/4) and (1/4, 3/4): the marginal is even, so the KL divergence of each is log 2 - H(1/4)."""
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    mean, _ = inception_score(logits_of([[0.75, 0.25], [0.25, 0.75]]), splits=1)
    assert mean == pytest.approx(math.exp(math.log(2) - entropy))


def test_the_mean_and_deviation_are_over_splits():
    """The first half is sure and even, 2; the second is unsure, 1."""
    mean, std = inception_score(logits_of([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]), splits=2)
    assert mean == pytest.approx(1.5)
    assert std == pytest.approx(0.5)


def test_it_is_the_exponential_of_the_mean_divergence():
    logits = Randomness(0).normal("logits", (12, 3)).double() * 2
    probabilities = logits.softmax(dim=1).tolist()
    marginal = [sum(row[c] for row in probabilities) / 12 for c in range(3)]
    divergences = [sum(p * math.log(p / q) for p, q in zip(row, marginal, strict=True)) for row in probabilities]
    assert inception_score(logits, splits=1)[0] == pytest.approx(math.exp(sum(divergences) / 12))


def test_it_is_that_of_torchmetrics():
    """torchmetrics 1.9.0, `InceptionScore.compute` over these logits in this order, 4 splits: 2.0960443829471695.

    Its deviation, 0.09841316234237603, divides by splits - 1 where the authors' code divides by splits.
    """
    row, column = torch.arange(60, dtype=torch.float64)[:, None], torch.arange(5, dtype=torch.float64)
    mean, std = inception_score(3 * torch.sin(1 + row * (column + 1)), splits=4)
    assert mean == pytest.approx(2.0960443829471695, rel=1e-12)
    assert std == pytest.approx(0.09841316234237603 * math.sqrt(3 / 4), rel=1e-12)
