"""MMD against closed forms and quadrature, and the game of a generator without a discriminator."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from ganframe_mmd import MMD, MMDCritic, MomentMatchingGame
from ganframe_mmd.terms import discrepancy
from pydantic import ValidationError
from torch import Tensor

from ganframe.config import BadInput, DiscriminatorConfig, Experiment, LossConfig, TensorSpec
from ganframe.game import DiscriminatorOutput
from ganframe.plugins.discovery import installed
from ganframe.testing.fakes import FakeGame, make_round, with_built_players
from ganframe.training.assembly import assemble

double = {"dtype": torch.float64}
PAIRS = [(0.7, 1.0), (-1.5, 0.6), (0.0, 2.0)]
"""Mean and standard deviation of q; p is N(0, 1)."""

pairs = pytest.mark.parametrize(("mean", "deviation"), PAIRS)


def estimate(x: Tensor, y: Tensor, **settings: Any) -> Tensor:
    return discrepancy(MMD(**settings))(x, y)


def quantiles(mean: float, deviation: float, count: int = 1500) -> Tensor:
    """Return points whose empirical distribution is close to a normal one."""
    levels = (torch.arange(count, **double) + 0.5) / count
    return (mean + deviation * math.sqrt(2) * torch.erfinv(2 * levels - 1))[:, None]


def normals(mean: float, deviation: float, count: int, seed: int) -> Tensor:
    draws = torch.randn((count, 1), generator=torch.Generator().manual_seed(seed), **double)
    return mean + deviation * draws


def rbf_of_normals(mean: float, deviation: float, s: float) -> float:
    """Return the squared MMD of `rbf`, from the Gaussian differences x - x', y - y' and x - y."""

    def expected(shift: float, variance: float) -> float:
        return math.sqrt(s**2 / (s**2 + variance)) * math.exp(-(shift**2) / (2 * (s**2 + variance)))

    return expected(0, 2) + expected(0, 2 * deviation**2) - 2 * expected(mean, 1 + deviation**2)


def by_quadrature(k: Callable[[Any], Any], mean: float, deviation: float) -> float:
    """Integrate a kernel of the difference over the densities of the three differences."""

    def expected(shift: float, variance: float) -> float:
        at, step = np.linspace(-60, 60, 400_001, retstep=True)
        density = np.exp(-((at - shift) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        return float((k(at) * density).sum() * step)

    return expected(0, 2) + expected(0, 2 * deviation**2) - 2 * expected(mean, 1 + deviation**2)


@pytest.mark.parametrize("m", [0.7, 2.0])
@pytest.mark.parametrize("s", [0.5, 1.0, 3.0])
def test_the_closed_form_of_two_normals_a_distance_apart(m: float, s: float):
    expected = 2 * math.sqrt(s**2 / (s**2 + 2)) * (1 - math.exp(-(m**2) / (2 * (s**2 + 2))))
    found = estimate(quantiles(0, 1), quantiles(m, 1), bandwidths=(s,)).item()
    assert found == pytest.approx(expected, rel=2e-3)
    assert rbf_of_normals(m, 1, s) == pytest.approx(expected)


@pairs
@pytest.mark.parametrize("s", [0.5, 1.0, 3.0])
def test_rbf_of_normals_of_other_widths(mean: float, deviation: float, s: float):
    found = estimate(quantiles(0, 1), quantiles(mean, deviation), bandwidths=(s,)).item()
    assert found == pytest.approx(rbf_of_normals(mean, deviation, s), rel=2e-3, abs=1e-5)


@pairs
def test_the_linear_kernel_compares_only_the_means(mean: float, deviation: float):
    found = estimate(quantiles(0, 1), quantiles(mean, deviation), kernel="linear").item()
    assert found == pytest.approx(mean**2, abs=1e-9)


@pairs
@pytest.mark.parametrize("a", [0.2, 1.0, 5.0])
def test_rational_quadratic_by_quadrature(mean: float, deviation: float, a: float):
    expected = by_quadrature(lambda d: (1 + d**2 / (2 * a)) ** -a, mean, deviation)
    found = estimate(quantiles(0, 1), quantiles(mean, deviation), kernel="rational-quadratic", alphas=(a,)).item()
    assert found == pytest.approx(expected, rel=3e-3, abs=1e-5)


def test_a_mixture_is_a_sum():
    x, y = normals(0, 1, 40, 0), normals(0.5, 1, 30, 1)
    parts = [estimate(x, y, bandwidths=(s,)).item() for s in (0.3, 2.0)]
    assert estimate(x, y, bandwidths=(0.3, 2.0)).item() == pytest.approx(sum(parts))


KERNELS = [
    {"kernel": "rbf", "bandwidths": (0.2, 1.0)},
    {"kernel": "linear"},
    {"kernel": "rational-quadratic"},
]
kernels = pytest.mark.parametrize("settings", KERNELS, ids=lambda settings: settings["kernel"])


@kernels
@pairs
def test_unbiased_is_unbiased(settings: dict[str, Any], mean: float, deviation: float):
    """Over 1500 draws of 5 and 7 examples the mean is within 4 standard errors of the truth, that of biased is not."""
    expected = {
        "rbf": sum(rbf_of_normals(mean, deviation, s) for s in (0.2, 1.0)),
        "linear": mean**2,
        "rational-quadratic": by_quadrature(
            lambda d: sum((1 + d**2 / (2 * a)) ** -a for a in (0.2, 0.5, 1.0, 2.0, 5.0)), mean, deviation
        ),
    }[settings["kernel"]]
    x, y = normals(0, 1, 7500, 0).view(1500, 5, 1), normals(mean, deviation, 10_500, 1).view(1500, 7, 1)
    off = {}
    for estimator in ("unbiased", "biased"):
        squared_mmd = discrepancy(MMD(**settings, estimator=estimator))
        found = torch.stack([squared_mmd(*pair) for pair in zip(x, y, strict=True)])
        off[estimator] = ((found.mean() - expected) / (found.std() / math.sqrt(1500))).item()
    assert abs(off["unbiased"]) < 4
    assert off["biased"] > 4.5


@kernels
def test_at_equal_distributions_unbiased_is_zero_on_average_and_biased_is_not(settings: dict[str, Any]):
    found: dict[str, Tensor] = {}
    for estimator in ("unbiased", "biased"):
        squared_mmd = discrepancy(MMD(**settings, estimator=estimator))
        found[estimator] = torch.stack(
            [squared_mmd(normals(0, 1, 6, seed), normals(0, 1, 6, -seed - 1)) for seed in range(400)]
        )
    error = found["unbiased"].std() / math.sqrt(400)
    assert found["unbiased"].mean().abs() < 4 * error
    assert bool((found["unbiased"] < 0).any())
    assert bool((found["biased"] >= -1e-15).all())
    assert found["biased"].mean() > 6 * error


def test_the_unbiased_estimate_by_hand():
    """Linear: x in {1, 3} and y in {2, 5, 7} have products 3 among x, 10, 14, 35 among y, and means 2 and 14/3."""
    x, y = (torch.tensor(numbers, **double)[:, None] for numbers in ([1.0, 3.0], [2.0, 5.0, 7.0]))
    unbiased = 3 + (10 + 14 + 35) / 3 - 2 * 2 * 14 / 3
    biased = (2 - 14 / 3) ** 2
    assert estimate(x, y, kernel="linear", estimator="unbiased").item() == pytest.approx(unbiased)
    assert estimate(x, y, kernel="linear").item() == pytest.approx(biased)


@kernels
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_first_and_second_derivatives(settings: dict[str, Any], estimator: str):
    squared_mmd = discrepancy(MMD(**settings, estimator=estimator))
    x, y = (normals(0, 1, 10, seed).view(5, 2).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(squared_mmd, (x, y))
    assert torch.autograd.gradgradcheck(squared_mmd, (x, y))


def test_examples_are_flattened_and_all_their_numbers_count():
    x, y = torch.zeros(2, 3, 4, 5, **double), torch.full((2, 3, 4, 5), 0.1, **double)
    squared = 60 * 0.01
    assert estimate(x, y, bandwidths=(1.0,)).item() == pytest.approx(2 - 2 * math.exp(-squared / 2))


def test_neighbours_far_from_the_origin_are_told_apart_in_float32():
    """The distance 0.01 at 100, where the squares in float32 are exact to 0.001 only."""
    x, y = torch.full((4, 1), 100.0), torch.full((4, 1), 100.01)
    gap = (y[0] - x[0]).double().item()
    expected = 2 - 2 * math.exp(-((gap / 0.01) ** 2) / 2)
    assert estimate(x, y, bandwidths=(0.01,)).item() == pytest.approx(expected, rel=1e-4)


@kernels
def test_dtypes_and_autocast(settings: dict[str, Any]):
    x, y = (normals(0, 1, 16, seed).view(8, 2) for seed in (0, 1))
    expected = estimate(x, y, **settings)
    with torch.autocast("cpu", torch.bfloat16):
        found = estimate(x.float(), y.float(), **settings)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    rough = estimate(x.bfloat16(), y.bfloat16(), **settings)
    torch.testing.assert_close(rough, estimate(x.bfloat16().float(), y.bfloat16().float(), **settings))


def test_an_unbiased_estimate_of_a_single_example_is_refused():
    one = torch.zeros(1, 2)
    with pytest.raises(BadInput, match="at least 2 examples"):
        estimate(one, one, estimator="unbiased")
    assert estimate(one, one).item() == 0


def test_the_regularizer_compares_the_tensors_that_it_names():
    config = MMD(sample="made", reference="given", kernel="linear")
    game = FakeGame(config.tensors())
    batch = {"given": torch.tensor([[1.0], [3.0]]), "made": torch.tensor([[6.0], [0.0]])}
    assert config.build().forward(make_round(game, batch)).item() == 1
    assert config.tensors() == ("given", "made")


def test_critic_and_generator_have_opposite_losses():
    loss = MMDCritic(kernel="rbf", bandwidths=(1.0,)).build()
    real, fake = (
        DiscriminatorOutput(torch.tensor(logits, **double, requires_grad=True)) for logits in ([0.0, 0.2], [1.0, 1.1])
    )
    assert loss.discriminator(real, fake).item() == -loss.generator(real, fake).item()
    critic = torch.autograd.grad(loss.discriminator(real, fake), (real.logits, fake.logits))
    assert critic[0].sum() > 0 > critic[1].sum()
    (generator,) = torch.autograd.grad(loss.generator(real, fake), fake.logits)
    assert generator.sum() > 0


def test_the_critic_can_compare_features():
    """The last features, flattened; logits are not read."""
    nothing = torch.zeros(2)
    maps = torch.arange(16.0).view(2, 2, 2, 2)
    sides = DiscriminatorOutput(nothing, (nothing, maps)), DiscriminatorOutput(nothing, (nothing, maps + 0.5))
    loss = MMDCritic(of="features", kernel="linear", estimator="biased").build()
    assert loss.generator(*sides).item() == pytest.approx(8 * 0.25)
    assert MMDCritic(of="features").requires_outputs == {"features"}
    assert MMDCritic().requires_outputs == frozenset()


def test_the_logits_of_patches_belong_to_one_sample():
    patches = torch.zeros(2, 1, 2, 2)
    loss = MMDCritic(kernel="linear", estimator="biased").build()
    assert loss.generator(DiscriminatorOutput(patches), DiscriminatorOutput(patches + 1)).item() == pytest.approx(4)


def test_the_capabilities_of_the_configs():
    assert not MMDCritic.takes_targets
    assert MMDCritic.decision_threshold is None
    assert installed().registry.find(LossConfig.kind, "mmd-gan") is MMDCritic
    assert MMD().zero_when == "tensors are equal"
    assert MMD(estimator="unbiased").zero_when is None


@pytest.mark.parametrize("bad", [{"bandwidths": ()}, {"bandwidths": (0.0,)}, {"alphas": (-1.0,)}, {"kernel": "sine"}])
def test_invalid_kernels_are_refused(bad: dict[str, Any]):
    for cls in (MMD, MMDCritic):
        with pytest.raises(ValidationError):
            cls(**bad)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_the_latents_of_the_game(prior: Any):
    game = MomentMatchingGame(generator={"type": "mlp", "latent": 4}, prior=prior).build({"real": TensorSpec((2,))})
    game_round = make_round(with_built_players(game), {"real": torch.zeros(20_000, 2)})
    latent = game_round["latent"]
    assert latent.shape == (20_000, 4)
    assert latent.var().item() == pytest.approx(1 if prior == "normal" else 1 / 3, rel=0.02)
    assert (latent.abs().max() <= 1) == (prior == "uniform")
    assert game_round["fake"].shape == (20_000, 2)


def config(**changes: Any) -> Experiment:
    generator = {"type": "mlp", "latent": 4, "hidden": [16], "output": "linear"}
    settings = {
        "game": {"type": "moment-matching", "generator": generator},
        "regularizers": [{"type": "mmd"}],
        "data": "ring",
        "train": {"images": 64, "device": "cpu"},
    }
    return Experiment.model_validate(settings | changes)


def test_losses_are_refused_because_the_game_has_no_contest():
    assemble(config())
    with pytest.raises(BadInput, match="the game has none"):
        assemble(config(losses=["mmd-critic"]))


class WithoutFeatures(DiscriminatorConfig):
    """A discriminator that returns no features."""

    type: Literal["without-features"] = "without-features"


def test_comparing_features_needs_a_critic_that_returns_them():
    game = {"type": "adversarial", "generator": "mlp", "discriminator": "mlp"}
    terms = {"losses": [{"type": "mmd-critic", "of": "features"}], "regularizers": []}
    assemble(config(game=game, **terms))
    with pytest.raises(BadInput, match="reads features, which 'without-features' does not"):
        assemble(config(game=game | {"discriminator": WithoutFeatures()}, **terms))
