import math

import torch
from ganframe_relativistic import RelativisticPairing
from hypothesis import given, settings
from hypothesis import strategies as st

from ganframe.config import LossConfig
from ganframe.plugins import installed
from ganframe.protocols import Verdict

LOSS = RelativisticPairing().build()
numbers = st.floats(-8, 8)


def verdict(*logits: float) -> Verdict:
    return Verdict(torch.tensor(logits, dtype=torch.float64, requires_grad=True))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(deadline=None)
@given(numbers, numbers)
def test_gradients_are_those_of_a_logistic_comparison(c_real: float, c_fake: float):
    real, fake = verdict(c_real), verdict(c_fake)
    value = LOSS.discriminator(real, fake)
    value.backward()
    wrong = sigmoid(c_fake - c_real)
    torch.testing.assert_close(value.detach().item(), -math.log(1 - wrong))
    torch.testing.assert_close(real.logits.grad.item(), -wrong)
    torch.testing.assert_close(fake.logits.grad.item(), wrong)


@settings(deadline=None)
@given(numbers, numbers)
def test_the_generator_reads_the_real_too(c_real: float, c_fake: float):
    fake = verdict(c_fake)
    LOSS.generator(verdict(c_real), fake).backward()
    torch.testing.assert_close(fake.logits.grad.item(), -sigmoid(c_real - c_fake))


@settings(deadline=None)
@given(numbers, numbers, st.floats(-100, 100))
def test_only_differences_count_and_the_sides_mirror_each_other(c_real: float, c_fake: float, shift: float):
    here = LOSS.discriminator(verdict(c_real), verdict(c_fake))
    torch.testing.assert_close(here, LOSS.discriminator(verdict(c_real + shift), verdict(c_fake + shift)))
    torch.testing.assert_close(here, LOSS.generator(verdict(c_fake), verdict(c_real)))


def test_pairs_are_compared_one_by_one():
    """The mean over pairs, not the cost of the mean difference."""
    value = LOSS.discriminator(verdict(3.0, -3.0), verdict(-3.0, 3.0))
    expected = (math.log1p(math.exp(-6)) + math.log1p(math.exp(6))) / 2
    torch.testing.assert_close(value.detach().item(), expected)


def test_alike_is_the_log_of_two():
    torch.testing.assert_close(LOSS.discriminator(verdict(0.3), verdict(0.3)).detach().item(), math.log(2))


def test_one_pair_per_patch():
    patches = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    assert LOSS.discriminator(Verdict(patches), Verdict(patches)).ndim == 0


def test_it_takes_no_targets_and_answers_to_its_alias():
    assert not RelativisticPairing.takes_targets
    assert installed().registry.find(LossConfig.kind, "rpgan") is RelativisticPairing
