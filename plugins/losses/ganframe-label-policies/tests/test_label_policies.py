import math

import pytest
import torch
from ganframe_label_policies import LabelFlipping, OneSidedSmoothing, SoftLabels
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from ganframe.config import LabelPolicyConfig, LossConfig
from ganframe.game import DiscriminatorOutput, Loss
from ganframe.plugins.discovery import installed
from ganframe.training.scheduled_settings import ScheduledSettings

N = 200_000
double = {"dtype": torch.float64}


def targets(config: LabelPolicyConfig, start: float, count: int = N) -> Tensor:
    generator = torch.Generator().manual_seed(int(start * 10))
    return config.build().forward(torch.full((count,), start, **double), start > 0.5, generator)


def non_saturating() -> Loss:
    found = installed().registry.find(LossConfig.kind, "non-saturating")
    assert not isinstance(found, str), found
    return found().build()


NOTHING = DiscriminatorOutput(torch.zeros(1, **double), target=torch.zeros(1, **double))
"""A side with a cost that does not depend on D: log 2."""


def best_discriminator(real: Tensor, fake: Tensor, p: float, q: float) -> float:
    """D that minimises the non-saturating loss over one logit, at a place with densities p and q, by Newton."""
    loss, logit = non_saturating(), torch.zeros((), **double, requires_grad=True)
    for _ in range(20):
        of_real, of_fake = (DiscriminatorOutput(logit.expand_as(target), target=target) for target in (real, fake))
        cost = p * loss.discriminator(of_real, NOTHING) + q * loss.discriminator(NOTHING, of_fake)
        (slope,) = torch.autograd.grad(cost, logit, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, logit)
        logit = (logit - slope / curvature).detach().requires_grad_()
    return logit.sigmoid().item()


@settings(deadline=None, max_examples=25)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 0.45))
def test_the_best_discriminator_under_flips(p: float, q: float, share: float):
    """With 20,000 draws of each side the shares that are flipped are within 0.01 of what they should be."""
    policy = LabelFlipping(probability=share)
    found = best_discriminator(targets(policy, 1.0, 20_000), targets(policy, 0.0, 20_000), p, q)
    assert found == pytest.approx(((1 - share) * p + share * q) / (p + q), abs=0.01)


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
def test_invalid_ranges_are_refused(bad: dict[str, tuple[float, float]]):
    with pytest.raises(ValidationError, match=r"bound|equal to"):
        SoftLabels(**bad)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_outside_of_0_and_1_is_refused(probability: float):
    with pytest.raises(ValidationError):
        LabelFlipping(probability=probability)


def test_one_sided_smoothing_changes_reals_alone():
    policy = OneSidedSmoothing(alpha=0.8).build()
    generator = torch.Generator()
    assert policy.forward(torch.ones(3), True, generator).tolist() == pytest.approx([0.8] * 3)
    assert policy.forward(torch.zeros(3), False, generator).tolist() == [0] * 3
    flipped = torch.tensor([0.0, 1.0])
    assert policy.forward(flipped, True, generator).tolist() == pytest.approx([0, 0.8])
    assert policy.forward(flipped, False, generator).tolist() == [0, 1]


def test_one_sided_smoothing_follows_a_schedule():
    config = OneSidedSmoothing(alpha={"type": "linear", "start": 0.8, "end": 1.0})
    live = config.build()
    schedules = ScheduledSettings([(config, live)])
    for images, expected in ((0, 0.8), (50, 0.9), (100, 1.0)):
        schedules.apply(images, 100)
        assert live.forward(torch.ones(1), True, torch.Generator()).item() == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, {"type": "linear", "start": 0.9, "end": 1.2}])
def test_an_alpha_outside_of_0_and_1_is_refused(alpha: float):
    with pytest.raises(ValidationError):
        OneSidedSmoothing(alpha=alpha)


PAIRS = [((0.0, 1.0), (0.7, 1.0)), ((-1.0, 0.5), (0.5, 1.5))]
"""Means and standard deviations of p and q."""


def density(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))


def trained_discriminator(policy: LabelPolicyConfig, p: Tensor, q: Tensor, draws: int) -> Tensor:
    """D on a grid: one free logit for each x, trained on the non-saturating loss with densities for weights.

    Each x has a cost of its own, over as many drawn targets as there are draws.
    """
    loss, live = non_saturating(), policy.build()
    shape = (len(p), draws)
    generator = torch.Generator().manual_seed(0)
    real, fake = (live.forward(torch.full(shape, float(side), **double), side, generator) for side in (True, False))
    logits = torch.zeros(len(p), **double, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-15)

    def side_cost(target: Tensor, density: Tensor, real: bool) -> Tensor:
        """The loss of one side at each x: that of both, less that of the other side, which does not depend on D."""
        costs = []
        for logit, drawn in zip(logits, target, strict=True):
            mine = DiscriminatorOutput(logit.expand(draws), target=drawn)
            costs.append(loss.discriminator(mine, NOTHING) if real else loss.discriminator(NOTHING, mine))
        return (density * (torch.stack(costs) - math.log(2))).sum()

    def cost() -> Tensor:
        optimizer.zero_grad()
        value = side_cost(real, p, True) + side_cost(fake, q, False)
        value.backward()
        return value

    optimizer.step(cost)
    return logits.detach().sigmoid()


@pytest.mark.parametrize(("of_p", "of_q"), PAIRS)
@pytest.mark.parametrize(
    ("policy", "real", "fake", "draws", "error"),
    [
        (LabelFlipping(probability=0.05), 0.95, 0.05, 40_000, 0.005),
        (LabelFlipping(probability=0.3), 0.7, 0.3, 40_000, 0.01),
        (OneSidedSmoothing(), 0.9, 0.0, 1, 1e-5),
        (OneSidedSmoothing(alpha=0.6), 0.6, 0.0, 1, 1e-5),
        (SoftLabels(), 0.9, 0.1, 40_000, 0.002),
    ],
)
def test_the_best_discriminator_of_two_normals(
    policy: LabelPolicyConfig,
    real: float,
    fake: float,
    draws: int,
    error: float,
    of_p: tuple[float, float],
    of_q: tuple[float, float],
):
    """(real p + fake q)/(p + q) for mean targets `real` and `fake`: the table's formula of each policy."""
    x = torch.linspace(-2, 2, 9, **double)
    p, q = density(x, *of_p), density(x, *of_q)
    found = trained_discriminator(policy, p, q, draws)
    torch.testing.assert_close(found, (real * p + fake * q) / (p + q), rtol=0, atol=error)
