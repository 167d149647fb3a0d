"""The term and the density against closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_likelihood import Gaussian, NegativeLogLikelihood
from pydantic import ValidationError
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from ganframe import load_config, train
from ganframe.config import BadInput, TensorSpec, hookimpl
from ganframe.training.assembly import assemble

DOUBLE = {"dtype": torch.float64}


class Scalar(nn.Module):
    """N(mean, deviation^2) for each number by itself."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean, **DOUBLE))
        self.deviation = nn.Parameter(torch.tensor(deviation, **DOUBLE))

    def log_prob(self, sample: Tensor, condition: Tensor | None = None) -> Tensor:
        mean = self.mean if condition is None else self.mean + condition
        by_number = -((sample.T - mean) ** 2) / (2 * self.deviation**2)
        return (by_number - self.deviation.log() - math.log(2 * math.pi) / 2).sum(0)


def term(player: nn.Module, config: NegativeLogLikelihood | None = None, **tensors: Tensor) -> Tensor:
    class Round(dict[str, Any]):
        game = SimpleNamespace(players={"generator": player})

    return (config or NegativeLogLikelihood()).build().forward(Round(tensors))


def gaussian(mean: list[float], triangle: list[list[float]]) -> Any:
    """The generator with mu and L as given."""
    network: Any = Gaussian().build(output=TensorSpec((len(mean),))).double()
    lower = torch.tensor(triangle, **DOUBLE)
    diagonal = lower.diagonal()
    with torch.no_grad():
        network.mean.copy_(torch.tensor(mean, **DOUBLE))
        network.log_scale.copy_(diagonal.log())
        network.mixing.copy_(lower / diagonal[:, None])
    return network


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.7, 2.0), (-1.3, 0.25)])
def test_on_its_own_samples_it_is_the_entropy(mean: float, deviation: float):
    """1/2 ln(2 pi e s^2) a number, in any number of dimensions."""
    draws = mean + deviation * torch.randn(100_000, 3, generator=torch.Generator().manual_seed(0), **DOUBLE)
    expected = 0.5 * math.log(2 * math.pi * math.e * deviation**2)
    assert term(Scalar(mean, deviation), real=draws).item() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("ours", "theirs"), [((0.0, 1.0), (0.7, 1.0)), ((0.5, 0.8), (-0.4, 1.7))])
def test_on_other_samples_it_is_the_cross_entropy(ours: tuple[float, float], theirs: tuple[float, float]):
    """ln s + 1/2 ln(2 pi) + (t^2 + (n - m)^2) / (2 s^2) for N(m, s^2) on draws of N(n, t^2)."""
    (m, s), (n, t) = ours, theirs
    draws = n + t * torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0), **DOUBLE)
    expected = math.log(s) + math.log(2 * math.pi) / 2 + (t**2 + (n - m) ** 2) / (2 * s**2)
    assert term(Scalar(m, s), real=draws).item() == pytest.approx(expected, rel=0.01)


def test_by_hand():
    """N(1, 2^2) at 3 and -1, in two dimensions: z = 1 and -1 everywhere."""
    sample = torch.tensor([[3.0, -1.0], [-1.0, 3.0]], **DOUBLE)
    expected = 0.5 + math.log(2) + math.log(2 * math.pi) / 2
    assert term(Scalar(1.0, 2.0), real=sample).item() == pytest.approx(expected)


def test_the_gradient_vanishes_at_the_fit():
    """At the mean and deviation of the sample, and nowhere near it."""
    sample = torch.tensor([[0.5], [2.0], [-1.0], [4.5]], **DOUBLE)
    for shift, factor in ((0.0, 1.0), (0.3, 1.0), (0.0, 1.2)):
        player = Scalar(sample.mean().item() + shift, sample.std(correction=0).item() * factor)
        term(player, real=sample).backward()
        slope = player.mean.grad.abs() + player.deviation.grad.abs()
        assert (slope.item() < 1e-12) == (shift == 0 and factor == 1)


def test_other_names_and_conditions_are_read():
    config = NegativeLogLikelihood(sample="real_a", condition="level", player="generator")
    assert config.tensors() == ("real_a", "level")
    sample, level = torch.tensor([[3.0], [5.0]], **DOUBLE), torch.tensor([2.0, 4.0], **DOUBLE)
    assert term(Scalar(1.0, 1.0), config, real_a=sample, level=level).item() == pytest.approx(math.log(2 * math.pi) / 2)


PARAMETERS = [
    ([0.5, -1.0], [[2.0, 0.0], [0.7, 0.5]]),
    ([0.0, 0.3, 2.0], [[0.4, 0.0, 0.0], [-1.1, 1.5, 0.0], [0.2, 0.6, 3.0]]),
]


@pytest.mark.parametrize(("mean", "triangle"), PARAMETERS)
def test_the_density_of_the_gaussian_is_that_of_scipy(mean: list[float], triangle: list[list[float]]):
    points = torch.randn(7, len(mean), generator=torch.Generator().manual_seed(0), **DOUBLE) * 2
    covariance = np.array(triangle) @ np.array(triangle).T
    expected = multivariate_normal(mean, covariance).logpdf(points.numpy())
    found = gaussian(mean, triangle).log_prob(points)
    torch.testing.assert_close(found, torch.from_numpy(expected))


@pytest.mark.parametrize(("mean", "triangle"), PARAMETERS)
def test_samples_of_the_gaussian_have_its_mean_and_covariance(mean: list[float], triangle: list[list[float]]):
    network = gaussian(mean, triangle)
    assert network.latent_shape == (len(mean),)
    samples = network(torch.randn(200_000, len(mean), generator=torch.Generator().manual_seed(0), **DOUBLE))
    lower = torch.tensor(triangle, **DOUBLE)
    torch.testing.assert_close(samples.mean(0), torch.tensor(mean, **DOUBLE), atol=0.03, rtol=0)
    torch.testing.assert_close(samples.T.cov(), lower @ lower.T, atol=0.05, rtol=0.02)


def test_a_small_image_has_a_density_too():
    network: Any = Gaussian(scale=0.5).build(output=TensorSpec((1, 2, 3)))
    with torch.no_grad():
        network.mean.zero_()
    assert network(torch.zeros(2, 6)).shape == (2, 1, 2, 3)
    expected = -6 * (math.log(0.5) + math.log(2 * math.pi) / 2) - 6 * 0.5
    assert network.log_prob(torch.full((2, 1, 2, 3), 0.5)).tolist() == pytest.approx([expected] * 2)


def test_gradients_agree_with_finite_differences():
    network = gaussian(*PARAMETERS[0])
    sample = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), **DOUBLE).requires_grad_()
    inputs = (sample, *(parameter.detach().clone().requires_grad_() for parameter in network.parameters()))

    def value(sample: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(dict(network.named_parameters()), parameters, strict=True))
        return torch.func.functional_call(_Density(network), {f"of.{n}": p for n, p in named.items()}, (sample,)).mean()

    assert torch.autograd.gradcheck(value, inputs)


class _Density(nn.Module):
    def __init__(self, of: Any) -> None:
        super().__init__()
        self.of = of

    def forward(self, sample: Tensor) -> Tensor:
        return self.of.log_prob(sample)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e4), (torch.bfloat16, 1e3)])
def test_far_samples_stay_finite(dtype: torch.dtype, size: float):
    network = Gaussian().build(output=TensorSpec((4,)))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = term(network, real=torch.full((3, 4), size, dtype=dtype))
    found.backward()
    assert bool(found.isfinite())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


def test_autocast_does_not_make_the_density_coarser():
    network: Any = Gaussian().build(output=TensorSpec((4,)))
    sample = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = network.log_prob(sample)
    assert torch.equal(found, network.log_prob(sample))


class DensityOfWrongShape(nn.Module):
    def log_prob(self, sample: Tensor, condition: Tensor | None = None) -> Tensor:
        return sample


def test_a_density_that_is_not_one_number_for_each_example_is_refused():
    with pytest.raises(BadInput, match=r"gives \(3, 2\), not one number for each example"):
        term(DensityOfWrongShape(), real=torch.zeros(3, 2))


CONFIG = """
game: {type: adversarial, generator: gaussian, discriminator: {type: mlp, hidden: [8]}}
losses: [{type: non-saturating, weight: 0}]
regularizers: [{type: nll}]
data: {type: ring, modes: 4, radius: 2, sigma: 0.5}
optimizers:
  generator: {type: adam, lr: 0}
train: {images: 2_048, batch_size: 2_048, device: cpu}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_a_generator_without_a_density_is_refused_before_training(config: str):
    with pytest.raises(
        BadInput, match=r"regularizers\.0\.player: .* density of 'generator', but 'mlp' has no `log_prob`"
    ):
        assemble(load_config(config, "game.generator=mlp"))


@pytest.mark.parametrize(
    ("player", "message"),
    [("g_ab", "no player 'g_ab'; it has: generator, discriminator"), ("discriminator", "'mlp' has no `log_prob`")],
)
def test_other_players_are_refused_before_training(config: str, player: str, message: str):
    with pytest.raises(BadInput, match=message):
        assemble(load_config(config, f"regularizers.0.player={player}"))


def test_a_tensor_that_the_game_lacks_is_refused_before_training(config: str):
    with pytest.raises(BadInput, match="reads the tensor 'real_a'"):
        assemble(load_config(config, "regularizers.0.sample=real_a"))


@pytest.mark.parametrize("covariance", [[[2.25, 0.0], [0.0, 0.3]], [[1.0, -0.6], [-0.6, 0.5]]])
def test_descending_the_term_finds_the_covariance_of_the_data(covariance: list[list[float]]):
    """Its least value is 1/4 ln det(2 pi e S) a number for two numbers with the covariance S."""
    whitened = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), **DOUBLE)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(whitened.T.cov(correction=0)), whitened.T, upper=False
    )
    wanted = torch.tensor(covariance, **DOUBLE)
    data = (torch.linalg.cholesky(wanted) @ (whitened - whitened.mean(1, keepdim=True))).T + 0.7
    network: Any = Gaussian().build(output=TensorSpec((2,))).double()
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=200, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = term(network, real=data)
        value.backward()
        return value

    optimizer.step(closure)
    least = math.log(np.linalg.det(2 * math.pi * math.e * np.array(covariance))) / 4
    assert term(network, real=data).item() == pytest.approx(least, abs=1e-6)
    lower = network(torch.eye(2, **DOUBLE)) - network(torch.zeros(2, 2, **DOUBLE))
    torch.testing.assert_close(lower.T @ lower, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("radius", "sigma"), [(2.0, 0.5), (1.0, 0.3)])
def test_in_a_run_it_starts_as_the_cross_entropy_of_the_data_and_the_standard_normal(
    config: str, tmp_path: Path, radius: float, sigma: float
):
    """Four modes on a circle have the mean square r^2 / 2 + sigma^2 along each axis."""
    probe = Probe()
    settings = (f"data.radius={radius}", f"data.sigma={sigma}")
    train(load_config(config, *settings), out=tmp_path / "run", hooks=[probe])
    expected = math.log(2 * math.pi) / 2 + (radius**2 / 2 + sigma**2) / 2
    assert probe.value == pytest.approx(expected, abs=0.05)


class Probe:
    """Keeps the last value of the term."""

    def __init__(self) -> None:
        self.value = math.nan

    @hookimpl
    def on_step_end(self, scalars: dict[str, float]) -> None:
        self.value = scalars["generator/negative-log-likelihood"]


def test_invalid_settings_are_refused():
    with pytest.raises(ValidationError):
        Gaussian(scale=0)
    with pytest.raises(ValidationError):
        NegativeLogLikelihood(players="generator")
