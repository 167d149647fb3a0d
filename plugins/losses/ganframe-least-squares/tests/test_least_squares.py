import torch
from ganframe_least_squares import LeastSquares
from hypothesis import given, settings
from hypothesis import strategies as st

from ganframe.game import DiscriminatorOutput

LOSS = LeastSquares().build()
numbers = st.floats(-5, 5)


def output(*logits: float, target: tuple[float, ...] | None = None) -> DiscriminatorOutput:
    return DiscriminatorOutput(
        torch.tensor(logits, dtype=torch.float64, requires_grad=True),
        target=None if target is None else torch.tensor(target, dtype=torch.float64),
    )


def test_values_are_those_of_the_formula():
    real, fake = output(1.0, 3.0), output(0.0, -2.0)
    assert float(LOSS.discriminator(real, fake).detach()) == (0 + 4) / 4 + (0 + 4) / 4
    assert float(LOSS.generator(real, fake).detach()) == (1 + 9) / 4


def test_zero_where_every_label_is_met():
    assert float(LOSS.discriminator(output(1.0), output(0.0)).detach()) == 0
    assert float(LOSS.generator(output(5.0), output(1.0)).detach()) == 0


@settings(deadline=None)
@given(numbers, numbers)
def test_gradient_is_the_distance_to_the_label(c_real: float, c_fake: float):
    real, fake = output(c_real), output(c_fake)
    LOSS.discriminator(real, fake).backward()
    torch.testing.assert_close(real.logits.grad, real.logits.detach() - 1)
    torch.testing.assert_close(fake.logits.grad, fake.logits.detach())
    generator_loss = output(c_fake)
    LOSS.generator(real, generator_loss).backward()
    torch.testing.assert_close(generator_loss.logits.grad, generator_loss.logits.detach() - 1)


@settings(deadline=None)
@given(numbers, st.floats(0, 1))
def test_a_soft_target_is_what_the_output_regresses_to(c: float, target: float):
    real = output(c, target=(target,))
    LOSS.discriminator(real, output(0.0)).backward()
    torch.testing.assert_close(real.logits.grad, real.logits.detach() - target)


@settings(deadline=None)
@given(st.integers(1, 99), st.integers(1, 99))
def test_the_best_discriminator_is_the_posterior(p: int, q: int):
    """100 reals of which p lie at a place, and 100 fakes of which q do."""
    table = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    reals, fakes = (torch.arange(100).ge(share).long() for share in (p, q))
    for _ in range(2):  # Newton's method on a quadratic
        (slope,) = torch.autograd.grad(
            LOSS.discriminator(DiscriminatorOutput(table[reals]), DiscriminatorOutput(table[fakes])), table
        )
        curvature = torch.tensor([p + q, 200 - p - q], dtype=torch.float64) / 100
        with torch.no_grad():
            table -= slope / curvature
    torch.testing.assert_close(float(table[0].detach()), p / (p + q), rtol=1e-9, atol=0)
