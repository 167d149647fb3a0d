"""Penalties at points of their own: 0-GP between reals and fakes, DRAGAN around reals."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ganframe_gradient_penalties import DRAGAN, ZeroCentred
from pydantic import ValidationError
from torch import Tensor, nn

from ganframe.config import RegularizerConfig
from ganframe.game import Contest, DiscriminatorOutput, Game, Randomness, Round, Turn
from ganframe.training.scheduled_settings import ScheduledSettings

double = {"dtype": torch.float64}


class OneContest(Game):
    inputs = ()
    contests = (Contest("discriminator", real="real", fake="fake", real_condition="seen", fake_condition="other"),)
    turns = (Turn("discriminator", ("discriminator",)),)


class FunctionDiscriminator(nn.Module):
    def __init__(self, function: Callable[..., Tensor], *parameters: Tensor) -> None:
        super().__init__()
        self.function = function
        self.values = nn.ParameterList(parameters)

    def forward(self, sample: Any, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.function(sample, condition, *self.values))


def linear(*slope: float) -> FunctionDiscriminator:
    return FunctionDiscriminator(lambda x, _, w: x.flatten(1) @ w, torch.tensor(slope, **double))


HALF_SQUARE = FunctionDiscriminator(lambda x, _: x.square().flatten(1).sum(1) / 2)
"""Its gradient is x."""


def round_of(discriminator: nn.Module, real: Any, fake: Any, seed: int = 0, **conditions: Tensor) -> Round:
    game = OneContest({})
    game.set_players({"discriminator": discriminator})
    size = len(real[0] if isinstance(real, tuple) else real)
    batch = {"real": real, "fake": fake, "seen": None, "other": None, **conditions}
    game_round = Round(game, batch, size=size, device=torch.device("cpu"), randomness=Randomness(seed))
    return game_round.in_turn(game.turns[0])


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **double)


def value(config: RegularizerConfig, discriminator: nn.Module, real: Any, fake: Any, **more: Any) -> float:
    return config.build().forward(round_of(discriminator, real, fake, **more)).item()


@pytest.mark.parametrize("slope", [(3.0, 4.0), (0.6, -0.8), (0.0, 0.0)])
def test_a_linear_discriminator_pays_by_its_slope_alone(slope: tuple[float, float]):
    discriminator, norm = linear(*slope), math.hypot(*slope)
    assert value(ZeroCentred(), discriminator, draws(4, 2), draws(4, 2)) == pytest.approx(norm**2, abs=1e-12)
    assert value(DRAGAN(), discriminator, draws(4, 2), draws(4, 2)) == pytest.approx((norm - 1) ** 2, abs=1e-12)


@pytest.mark.parametrize(("fake", "real"), [(0.0, 3.0), (-1.0, 2.5)])
def test_0_gp_is_uniform_between_fake_and_real(fake: float, real: float):
    """With the gradient x on [a, b] the penalty is the mean of x^2: (a^2 + a b + b^2) / 3."""
    sides = [torch.full((100_000, 1), value, **double) for value in (real, fake)]
    expected = (fake**2 + fake * real + real**2) / 3
    assert value(ZeroCentred(), HALF_SQUARE, *sides) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("spread", "low", "high"), [(0.5, -1.0, 1.0), (2.0, 3.0, 6.0)])
def test_dragan_noise_is_a_share_of_what_is_uniform_up_to_that_many_deviations(spread: float, low: float, high: float):
    """Half the reals at a, half at b: std = (b - a) / 2 = s; with the gradient x > 0 it is E(x + c s e u - 1)^2.

    For e and u uniform in [0, 1], E(e u) = 1/4 and E(e u)^2 = 1/9, so that E(d + w e u)^2 = d^2 + d w / 2 + w^2 / 9.
    """
    real = torch.tensor([low, high], **double).repeat(50_000)[:, None]
    wide = spread * (high - low) / 2
    shifted = FunctionDiscriminator(lambda x, _: (x + 10).square().sum(1) / 2)
    expected = sum(d**2 + d * wide / 2 + wide**2 / 9 for d in (low + 9, high + 9)) / 2
    assert value(DRAGAN(spread=spread), shifted, real, real) == pytest.approx(expected, rel=0.005)


def test_each_example_goes_one_share_of_the_way_to_its_noise():
    """Of e u over many u ~ U[0, 1] the largest is e and the mean half of that; each example draws one e ~ U[0, 1]."""
    seen: list[tuple[Tensor, Tensor]] = []
    discriminator = FunctionDiscriminator(
        lambda x, _: seen.append((x[0].detach(), x[1].detach())) or (x[0].sum(1) + x[1].sum(1))
    )
    sample = tuple(torch.tensor([-scale, scale], **double).repeat(200, 2_000) for scale in (1.0, 5.0))
    value(DRAGAN(spread=0.5), discriminator, sample, sample)
    moved = [(points - real) / (0.5 * scale) for points, real, scale in zip(seen[-1], sample, (1.0, 5.0), strict=True)]
    shares = moved[0].amax(1)
    torch.testing.assert_close(moved[1].amax(1), shares, rtol=5e-3, atol=0)
    torch.testing.assert_close(moved[0].mean(1) / shares, torch.full((200,), 0.5, **double), rtol=0.1, atol=0)
    assert shares.sort().values.tolist() == pytest.approx(torch.linspace(0, 1, 200).tolist(), abs=0.1)
    assert not torch.allclose(moved[0], moved[1], rtol=0.1)


def test_dragan_without_spread_reads_the_reals_and_never_the_fakes():
    real = torch.tensor([[2.0], [4.0]], **double)
    assert value(DRAGAN(spread=0), HALF_SQUARE, real, draws(2, 1)) == pytest.approx((1 + 9) / 2)
    game_round = round_of(HALF_SQUARE, real, draws(2, 1))
    DRAGAN().build().forward(game_round)
    assert ("discriminator", "fake") not in game_round.logits


def test_the_spread_follows_a_schedule():
    config = DRAGAN(spread={"type": "linear", "start": 1.0, "end": 0.0})
    live = config.build()
    ScheduledSettings([(config, live)]).apply(500, 1000)
    assert live.spread == 0.5


@pytest.mark.parametrize(("config", "cost"), [(ZeroCentred(), 15.0), (DRAGAN(spread=0), (math.sqrt(15) - 1) ** 2)])
def test_the_norm_is_over_all_axes_but_the_batch(config: RegularizerConfig, cost: float):
    half = FunctionDiscriminator(lambda x, _: 0.5 * x.flatten(1).sum(1))
    assert value(config, half, draws(2, 3, 4, 5), draws(2, 3, 4, 5)) == pytest.approx(cost)


@pytest.mark.parametrize(("config", "cost"), [(ZeroCentred(), 25.0), (DRAGAN(), 16.0)])
def test_the_norm_is_over_all_tensors_of_a_sample(config: RegularizerConfig, cost: float):
    discriminator = FunctionDiscriminator(lambda x, _: 3 * x[0].flatten(1).sum(1) + 4 * x[1].flatten(1).sum(1))
    sample = (draws(2, 1), draws(2, 1, seed=1))
    assert value(config, discriminator, sample, sample) == pytest.approx(cost)


@pytest.mark.parametrize(("config", "cost"), [(ZeroCentred(), 4.0), (DRAGAN(), 1.0)])
def test_patches_count_by_their_mean(config: RegularizerConfig, cost: float):
    discriminator = FunctionDiscriminator(lambda x, _: 2 * x[:, None, :, None] * torch.ones(1, 1, 1, 3, **double))
    assert value(config, discriminator, draws(2, 1), draws(2, 1)) == pytest.approx(cost)


@pytest.mark.parametrize(("config", "cost"), [(ZeroCentred(), (25 + 1) / 2), (DRAGAN(), (16 + 0) / 2)])
def test_points_have_the_condition_of_the_real_side(config: RegularizerConfig, cost: float):
    discriminator = FunctionDiscriminator(lambda x, condition: (x * condition).sum(1))
    seen = torch.tensor([[3.0, 4.0], [0.0, 1.0]], **double)
    found = value(config, discriminator, draws(2, 2), draws(2, 2), seen=seen, other=7 * seen)
    assert found == pytest.approx(cost)


@pytest.mark.parametrize("config", [ZeroCentred(), DRAGAN()])
def test_draws_are_those_of_the_round(config: RegularizerConfig):
    real, fake = draws(20, 2), draws(20, 2, seed=1)
    first, again, other = (value(config, HALF_SQUARE, real, fake, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("config", [ZeroCentred(), DRAGAN()])
def test_gradcheck_of_the_penalty_in_the_weights(config: RegularizerConfig):
    """The double backward is right, to finite differences."""
    real, fake = draws(3, 2), draws(3, 2, seed=2)

    def penalty(weight: Tensor) -> Tensor:
        discriminator = FunctionDiscriminator(lambda x, _: torch.tanh(x @ weight).square().sum(1))
        return config.build().forward(round_of(discriminator, real, fake))

    assert torch.autograd.gradcheck(penalty, draws(2, 2, seed=1).requires_grad_())


@pytest.mark.parametrize("config", [ZeroCentred(), DRAGAN()])
def test_gradcheck_of_the_penalty_in_the_samples(config: RegularizerConfig):
    """A game that looks ahead differentiates it by them; DRAGAN reads no fakes."""
    weight = draws(2, 2, seed=1)
    discriminator = FunctionDiscriminator(lambda x, _: torch.tanh(x @ weight).square().sum(1))
    sides = tuple(draws(3, 2, seed=seed).requires_grad_() for seed in (0, 2))

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        return config.build().forward(round_of(discriminator, real, fake))

    assert torch.autograd.gradcheck(penalty, sides)


@pytest.mark.parametrize("config", [ZeroCentred(), DRAGAN()])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_finite_for_large_outputs_and_a_flat_discriminator(config: RegularizerConfig, dtype: torch.dtype, size: float):
    for slope in (size, -size, 0.0):
        discriminator = FunctionDiscriminator(lambda x, _, w: x @ w, torch.full((2,), slope, dtype=dtype))
        penalty = config.build().forward(round_of(discriminator, draws(4, 2).to(dtype), draws(4, 2).to(dtype)))
        penalty.backward()
        assert bool(penalty.isfinite())
        assert bool(discriminator.values[0].grad.isfinite().all())


@pytest.mark.parametrize("spread", [-0.1, math.nan, "wide"])
def test_other_spreads_are_refused(spread: Any):
    with pytest.raises(ValidationError):
        DRAGAN(spread=spread)
