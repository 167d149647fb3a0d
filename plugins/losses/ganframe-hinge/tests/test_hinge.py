import pytest
import torch
from ganframe_hinge import Hinge

from ganframe.game import DiscriminatorOutput

LOSS = Hinge().build()


def output(*logits: float) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.tensor(logits, dtype=torch.float64, requires_grad=True))


def test_values_are_those_of_the_formula():
    real, fake = output(-1.0, 0.5, 1.0, 7.0), output(-7.0, -1.0, 0.0, 2.0)
    assert float(LOSS.discriminator(real, fake).detach()) == (2 + 0.5) / 4 + (1 + 3) / 4
    assert float(LOSS.generator(real, fake).detach()) == (7 + 1 - 0 - 2) / 4


def test_the_discriminator_ignores_what_is_right_by_the_margin():
    real, fake = output(1.5, 0.5), output(-1.5, -0.5)
    LOSS.discriminator(real, fake).backward()
    assert real.logits.grad.tolist() == [0, -0.5]
    assert fake.logits.grad.tolist() == [0, 0.5]


@pytest.mark.parametrize("logit", [-1e4, -1.0, 0.0, 1.0, 1e4])
def test_the_generator_always_has_the_same_gradient(logit: float):
    fake = output(logit)
    LOSS.generator(output(0.0), fake).backward()
    assert fake.logits.grad.tolist() == [-1]


@pytest.mark.parametrize(("p", "q"), [(0.7, 0.2), (0.1, 0.4)])
def test_the_best_discriminator_says_which_density_is_larger(p: float, q: float):
    """At C* = sign(p - q) the expected cost is 2 min(p, q), so that V = 2 - 2 TV over a whole space."""
    logits = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    cost = p * LOSS.real_loss(logits) + q * LOSS.fake_loss(logits)
    assert float(logits[cost.argmin()]) == pytest.approx(1.0 if p > q else -1.0, abs=1e-9)
    assert float(cost.min()) == pytest.approx(2 * min(p, q))
