import pytest
import torch
from ganframe_label_policies import LabelFlipping, SoftLabels
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cost

from ganframe.config import LabelPolicyConfig

N = 200_000
double = {"dtype": torch.float64}


def targets(config: LabelPolicyConfig, start: float, count: int = N) -> Tensor:
    generator = torch.Generator().manual_seed(int(start * 10))
    return config.build().forward(torch.full((count,), start, **double), start > 0.5, generator)


def best_discriminator(real: Tensor, fake: Tensor, p: float, q: float) -> float:
    """D that minimises E cost(C, target) over one logit, at a place with densities p and q; by Newton's method."""
    logit = torch.zeros((), **double, requires_grad=True)
    for _ in range(20):
        sides = ((p, real), (q, fake))
        loss = sum(density * cost(logit.expand_as(each), each) for density, each in sides)
        (slope,) = torch.autograd.grad(loss, logit, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, logit)
        logit = (logit - slope / curvature).detach().requires_grad_()
    return logit.sigmoid().item()


@settings(deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 0.45))
def test_the_best_discriminator_under_flips(p: float, q: float, share: float):
    expected_targets = torch.tensor([1 - share], **double), torch.tensor([share], **double)
    found = best_discriminator(*expected_targets, p, q)
    assert found == pytest.approx(((1 - share) * p + share * q) / (p + q), rel=1e-9)


@pytest.mark.parametrize(("p", "q"), [(0.8, 0.1), (0.2, 0.5)])
def test_the_best_discriminator_under_drawn_flips(p: float, q: float):
    policy = LabelFlipping(probability=0.2)
    found = best_discriminator(targets(policy, 1.0), targets(policy, 0.0), p, q)
    assert found == pytest.approx((0.8 * p + 0.2 * q) / (p + q), abs=0.004)


@pytest.mark.parametrize(("p", "q"), [(0.8, 0.1), (0.2, 0.5), (1.0, 1.0)])
def test_the_best_discriminator_under_soft_labels(p: float, q: float):
    found = best_discriminator(targets(SoftLabels(), 1.0), targets(SoftLabels(), 0.0), p, q)
    assert found == pytest.approx((0.9 * p + 0.1 * q) / (p + q), abs=0.001)


@pytest.mark.parametrize(("p", "q"), [(0.8, 0.1), (0.2, 0.5)])
def test_one_value_for_reals_alone_is_one_sided_smoothing(p: float, q: float):
    policy = SoftLabels(fake=(0, 0), real=(0.9, 0.9))
    found = best_discriminator(targets(policy, 1.0, 10), targets(policy, 0.0, 10), p, q)
    assert found == pytest.approx(0.9 * p / (p + q), rel=1e-9)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_share_of_the_labels_is_flipped(start: float):
    flipped = targets(LabelFlipping(probability=0.3), start)
    assert set(flipped.tolist()) == {0.0, 1.0}
    assert (flipped != start).double().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / N) ** 0.5)


def test_never_and_always():
    assert bool((targets(LabelFlipping(probability=0), 1.0) == 1).all())
    assert bool((targets(LabelFlipping(probability=1), 1.0) == 0).all())


@pytest.mark.parametrize(("start", "low", "high"), [(0.0, 0.0, 0.2), (1.0, 0.8, 1.0)])
def test_soft_labels_are_uniform_on_their_range(start: float, low: float, high: float):
    soft = targets(SoftLabels(), start)
    assert low <= soft.min().item() < low + 0.001
    assert high - 0.001 < soft.max().item() <= high
    assert soft.mean().item() == pytest.approx((low + high) / 2, abs=0.001)
    assert soft.var().item() == pytest.approx((high - low) ** 2 / 12, rel=0.02)


def test_a_flipped_target_stays_flipped_when_softened():
    flipped = torch.tensor([0.0, 1.0, 0.0])
    soft = SoftLabels().build().forward(flipped, True, torch.Generator().manual_seed(0))
    assert soft.gt(0.5).tolist() == [False, True, False]


@pytest.mark.parametrize("bad", [{"fake": (-0.1, 0.2)}, {"real": (0.8, 1.1)}, {"real": (0.9, 0.8)}])
def test_ranges_that_are_none_are_refused(bad: dict[str, tuple[float, float]]):
    with pytest.raises(ValidationError, match=r"bound|equal to"):
        SoftLabels(**bad)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_outside_of_0_and_1_is_refused(probability: float):
    with pytest.raises(ValidationError):
        LabelFlipping(probability=probability)
