import math
from collections.abc import Callable

import pytest
import torch
from ganframe_relativistic import Cost, RelativisticAverage, RelativisticPairing
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ganframe.config import LossConfig
from ganframe.game import DiscriminatorOutput
from ganframe.plugins.discovery import installed

LOSS = RelativisticPairing().build()
numbers = st.floats(-8, 8)


def output(*logits: float) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.tensor(logits, dtype=torch.float64, requires_grad=True))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(deadline=None)
@given(numbers, numbers)
def test_gradients_are_those_of_a_logistic_comparison(c_real: float, c_fake: float):
    real, fake = output(c_real), output(c_fake)
    value = LOSS.discriminator(real, fake)
    value.backward()
    wrong = sigmoid(c_fake - c_real)
    torch.testing.assert_close(value.detach().item(), -math.log(1 - wrong))
    torch.testing.assert_close(real.logits.grad.item(), -wrong)
    torch.testing.assert_close(fake.logits.grad.item(), wrong)


@settings(deadline=None)
@given(numbers, numbers)
def test_the_generator_reads_the_real_too(c_real: float, c_fake: float):
    fake = output(c_fake)
    LOSS.generator(output(c_real), fake).backward()
    torch.testing.assert_close(fake.logits.grad.item(), -sigmoid(c_real - c_fake))


@settings(deadline=None)
@given(numbers, numbers, st.floats(-100, 100))
def test_only_differences_count_and_the_sides_mirror_each_other(c_real: float, c_fake: float, shift: float):
    here = LOSS.discriminator(output(c_real), output(c_fake))
    torch.testing.assert_close(here, LOSS.discriminator(output(c_real + shift), output(c_fake + shift)))
    torch.testing.assert_close(here, LOSS.generator(output(c_fake), output(c_real)))


def test_pairs_are_compared_one_by_one():
    """The mean over pairs, not the cost of the mean difference."""
    value = LOSS.discriminator(output(3.0, -3.0), output(-3.0, 3.0))
    expected = (math.log1p(math.exp(-6)) + math.log1p(math.exp(6))) / 2
    torch.testing.assert_close(value.detach().item(), expected)


def test_equal_outputs_cost_the_log_of_two():
    torch.testing.assert_close(LOSS.discriminator(output(0.3), output(0.3)).detach().item(), math.log(2))


def test_one_pair_per_patch():
    patches = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    assert LOSS.discriminator(DiscriminatorOutput(patches), DiscriminatorOutput(patches)).ndim == 0


def test_it_takes_no_targets_and_answers_to_its_alias():
    assert not RelativisticPairing.takes_targets
    assert installed().registry.find(LossConfig.kind, "rpgan") is RelativisticPairing


REALS, FAKES = (1.0, 4.0), (-1.0, 2.5)
"""Means 2.5 and 0.75: reals lie 0.25 and 3.25 above the average fake, fakes 3.5 and 0 below the average real."""
GAPS = (0.25, 3.25, 3.5, 0.0)

COSTS: dict[Cost, Callable[[float], float]] = {
    "logistic": lambda t: math.log1p(math.exp(-t)),
    "least-squares": lambda t: (t - 1) ** 2,
    "hinge": lambda t: max(0.0, 1 - t),
}


@pytest.mark.parametrize("cost", COSTS)
def test_each_is_compared_with_the_average_of_the_other_side(cost: Cost):
    loss, h = RelativisticAverage(cost=cost).build(), COSTS[cost]
    found = loss.discriminator(output(*REALS), output(*FAKES)).item()
    assert found == pytest.approx(sum(map(h, GAPS)) / 2)
    found = loss.generator(output(*REALS), output(*FAKES)).item()
    assert found == pytest.approx(sum(h(-gap) for gap in GAPS) / 2)


def test_the_average_has_a_gradient():
    """Hinge: of the reals the first, of the fakes the second lie within 1 of the other side's average."""
    loss, real, fake = RelativisticAverage(cost="hinge").build(), output(*REALS), output(*FAKES)
    loss.discriminator(real, fake).backward()
    assert real.logits.grad.tolist() == [-0.5 - 0.25, -0.25]
    assert fake.logits.grad.tolist() == [0.25, 0.5 + 0.25]


@settings(deadline=None)
@given(numbers, numbers)
def test_with_one_example_the_average_is_twice_the_pair(c_real: float, c_fake: float):
    sides = output(c_real), output(c_fake)
    average = RelativisticAverage().build()
    torch.testing.assert_close(average.discriminator(*sides), 2 * LOSS.discriminator(*sides))
    torch.testing.assert_close(average.generator(*sides), 2 * LOSS.generator(*sides))


@pytest.mark.parametrize("cost", COSTS)
def test_the_average_ignores_a_common_shift_and_the_order(cost: Cost):
    loss = RelativisticAverage(cost=cost).build()
    here = loss.discriminator(output(*REALS), output(*FAKES))
    shifted = loss.discriminator(output(*(c + 100 for c in REALS)), output(*(c + 100 for c in FAKES)))
    torch.testing.assert_close(here, shifted)
    torch.testing.assert_close(here, loss.discriminator(output(*REALS[::-1]), output(*FAKES)))


@pytest.mark.parametrize("cost", COSTS)
def test_derivatives_of_the_average(cost: Cost):
    loss = RelativisticAverage(cost=cost).build()
    logits = torch.tensor([0.3, -0.2, 1.9], dtype=torch.float64, requires_grad=True)
    for side in (loss.discriminator, loss.generator):
        assert torch.autograd.gradcheck(
            lambda c, side=side: side(DiscriminatorOutput(c), DiscriminatorOutput(c.flip(0) * 0.7)), logits
        )
    for size in (1e4, -1e4):
        for dtype, scale in ((torch.float32, 1.0), (torch.bfloat16, 0.1)):
            far = torch.tensor([size * scale, 0.0], dtype=dtype, requires_grad=True)
            value = loss.discriminator(DiscriminatorOutput(far), DiscriminatorOutput(-far))
            value.backward()
            assert value.isfinite() and bool(far.grad.isfinite().all())


def test_averages_are_over_patches_too():
    patches = torch.tensor(REALS, dtype=torch.float64).reshape(1, 1, 1, 2)
    fakes = torch.tensor(FAKES, dtype=torch.float64).reshape(1, 1, 1, 2)
    loss = RelativisticAverage().build()
    here = loss.discriminator(DiscriminatorOutput(patches), DiscriminatorOutput(fakes))
    torch.testing.assert_close(here, loss.discriminator(output(*REALS), output(*FAKES)).detach())


def test_the_average_takes_no_targets_answers_to_its_alias_and_refuses_other_costs():
    assert not RelativisticAverage.takes_targets
    assert installed().registry.find(LossConfig.kind, "ragan") is RelativisticAverage
    with pytest.raises(ValidationError, match="'logistic', 'least-squares' or 'hinge'"):
        RelativisticAverage(cost="square")  # pyright: ignore[reportArgumentType]
