import math

import pytest
import torch
from ganframe_minimax import Minimax, NonSaturating
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ganframe.game import DiscriminatorOutput

MINIMAX, NON_SATURATING = Minimax().build(), NonSaturating().build()
double = {"dtype": torch.float64}


def output(*logits: float) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.tensor(logits, **double, requires_grad=True))


def generator_gradient(loss: object, logit: float) -> float:
    fake = output(logit)
    loss.generator(output(0.0), fake).backward()
    return fake.logits.grad.item()


def test_gradients_of_the_generator_where_fakes_are_recognised():
    """At C = -5, D = 0.0067: minimax has almost no gradient left, non-saturating almost all."""
    assert generator_gradient(MINIMAX, -5.0) == pytest.approx(-0.0067, abs=5e-5)
    assert generator_gradient(NON_SATURATING, -5.0) == pytest.approx(-0.9933, abs=5e-5)


@settings(deadline=None)
@given(st.floats(-30, 30))
def test_gradients_are_those_of_the_probabilities(logit: float):
    """d/dC log(1 - D) = -D and d/dC -log D = -(1 - D)."""
    d, one_minus_d = 1 / (1 + math.exp(-logit)), 1 / (1 + math.exp(logit))
    assert generator_gradient(MINIMAX, logit) == pytest.approx(-d, rel=1e-6)
    assert generator_gradient(NON_SATURATING, logit) == pytest.approx(-one_minus_d, rel=1e-6)


@pytest.mark.parametrize("loss", [MINIMAX, NON_SATURATING])
def test_values_are_those_of_the_formula(loss: object):
    real, fake = output(0.3, -1.0), output(2.0, -0.5)
    d_real, d_fake = (side.logits.detach().sigmoid() for side in (real, fake))
    expected = -(d_real.log().mean() + (1 - d_fake).log().mean())
    torch.testing.assert_close(loss.discriminator(real, fake).detach(), expected)


def test_the_generators_sides():
    fake = output(2.0, -0.5)
    d = fake.logits.detach().sigmoid()
    torch.testing.assert_close(MINIMAX.generator(output(0.0), fake).detach(), (1 - d).log().mean())
    torch.testing.assert_close(NON_SATURATING.generator(output(0.0), fake).detach(), -d.log().mean())


def quantiles(mean: float, count: int = 20_000) -> Tensor:
    levels = (torch.arange(count, **double) + 0.5) / count
    return mean + math.sqrt(2) * torch.erfinv(2 * levels - 1)


def train_discriminator(real: Tensor, fake: Tensor) -> tuple[Tensor, float]:
    """Return the coefficients of C(x) = c_0 + c_1 x + c_2 x^2 + c_3 x^3 after training, and their value V."""
    coefficients = torch.zeros(4, **double, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-14)
    real, fake = (torch.stack([x**power for power in range(4)], 1) for x in (real, fake))

    def cost() -> Tensor:
        optimizer.zero_grad()
        loss = NON_SATURATING.discriminator(
            DiscriminatorOutput(real @ coefficients), DiscriminatorOutput(fake @ coefficients)
        )
        loss.backward()
        return loss

    optimizer.step(cost)
    return coefficients.detach(), -cost().item()


def test_a_trained_discriminator_approaches_the_posterior_and_the_divergence():
    """p = N(0, 1), q = N(0.7, 1): V = -1.27076, JSD = 0.05777, D* = p / (p + q)."""
    coefficients, value = train_discriminator(quantiles(0.0), quantiles(0.7))
    assert value == pytest.approx(-1.27076, abs=1e-4)
    assert (value + 2 * math.log(2)) / 2 == pytest.approx(0.05777, abs=5e-5)
    x = torch.linspace(-2, 2.7, 48, **double)
    p, q = (torch.exp(-((x - mean) ** 2) / 2) for mean in (0.0, 0.7))
    found = sum(coefficient * x**power for power, coefficient in enumerate(coefficients)).sigmoid()
    torch.testing.assert_close(found, p / (p + q), rtol=0, atol=2e-3)


def test_equal_distributions_leave_nothing_to_tell():
    """At P = Q the best value is -2 ln 2, with D = 1/2 everywhere."""
    coefficients, value = train_discriminator(quantiles(0.0), quantiles(0.0))
    assert value == pytest.approx(-2 * math.log(2))
    torch.testing.assert_close(coefficients, torch.zeros(4, **double))


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.floats(-3, 3))
def test_a_soft_target_is_the_cross_entropy(target: float, logit: float):
    soft = torch.tensor([target], **double)
    real = output(logit)
    real.target = soft
    found = NON_SATURATING.discriminator(real, output(-1e4)).detach()
    d = real.logits.detach().sigmoid()
    torch.testing.assert_close(found, -(soft * d.log() + (1 - soft) * (1 - d).log()).mean())
