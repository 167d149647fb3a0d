"""The metric `optimal-discriminator` beside closed forms and NumPy's quadrature."""

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_gaussians import Gaussian, OptimalDiscriminator
from ganframe_gaussians.densities import Densities
from ganframe_gaussians.figure import draw_figure, make_figure
from safetensors.torch import save_file
from torch import Tensor

from ganframe import BadInput, Experiment, RunFolder, load_config, train
from ganframe.game import Randomness

X = torch.linspace(-8, 9, 2001, dtype=torch.float64)
VALUE, JSD = -1.27076, 0.05777
"""Value and divergence of N(0, 1) and N(0.7, 1) with the optimal discriminator, -2 log 2 + 2 JSD and JSD."""


def normal(x: Any, mean: float, sigma: float = 1.0) -> Any:
    return np.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def test_value_and_jsd_of_the_constants_are_those_of_a_quadrature_over_normal_nodes():
    """Gauss-Hermite quadrature: the mean of a function of a standard normal, without an interval."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / math.sqrt(2 * math.pi)
    log_real = -np.log1p(np.exp(0.7 * nodes - 0.245))  # log D* at x ~ N(0, 1): log p - log q = 0.245 - 0.7 x
    log_fake = -np.log1p(np.exp(0.245 - 0.7 * (nodes + 0.7)))
    value = float((weights * (log_real + log_fake)).sum())
    assert value == pytest.approx(VALUE, abs=1e-5)
    assert (value + 2 * math.log(2)) / 2 == pytest.approx(JSD, abs=1e-5)


def two_normals(logits: Tensor) -> Densities:
    """N(0, 1) and N(0.7, 1) with a discriminator."""
    return Densities(X, torch.from_numpy(normal(X.numpy(), 0)), torch.from_numpy(normal(X.numpy(), 0.7)), logits)


def test_the_optimal_discriminator_has_the_value_of_the_closed_form():
    densities = two_normals(0.245 - 0.7 * X)
    assert densities.value() == pytest.approx(VALUE, abs=1e-5)
    assert densities.jsd() == pytest.approx(JSD, abs=1e-5)
    assert densities.error() < 1e-12
    torch.testing.assert_close(densities.optimal, densities.discriminator)


def test_any_other_discriminator_has_a_smaller_value():
    undecided = two_normals(torch.zeros_like(X))
    assert undecided.value() == pytest.approx(-2 * math.log(2), abs=1e-9)
    assert two_normals(0.4 - 0.7 * X).value() < VALUE
    assert two_normals(0.245 - 0.9 * X).value() < VALUE
    # |1/2 - p/(p+q)| under (p+q)/2 is |p-q|/4, whose integral is (2 Phi(0.35) - 1)/2.
    assert undecided.error() == pytest.approx((2 * NormalDist().cdf(0.35) - 1) / 2, abs=1e-6)


def test_densities_apart_have_a_jsd_of_log_2_and_numbers_that_are_finite():
    p, q = (torch.from_numpy(normal(X.numpy(), mean, 0.02)) for mean in (-4, 5))
    densities = Densities(X, p, q, -40 * X)
    assert densities.jsd() == pytest.approx(math.log(2), abs=1e-6)
    assert densities.value() == pytest.approx(0, abs=1e-6)
    assert densities.optimal[len(X) // 2] == 0.5  # neither density is above 0 there
    assert Densities(X, p, q, 1e4 * X).value() < -40_000 * 0.99


def measured(samples: Tensor, logits: Tensor | None = None, **settings: Any) -> dict[str, float]:
    config = OptimalDiscriminator(**settings)
    metric = config.build(Gaussian())
    metric.update(
        {"samples": samples, "logits": torch.zeros(len(samples), config.points) if logits is None else logits}
    )
    return metric.compute()


def quantiles(mean: float, sigma: float = 1.0, count: int = 10_000) -> Tensor:
    """The best possible samples of N(mean, sigma)."""
    law = NormalDist(mean, sigma)
    return torch.tensor([[law.inv_cdf((index + 0.5) / count)] for index in range(count)])


def test_the_density_of_10000_samples_is_near_enough():
    x = torch.linspace(-6, 6, 801)
    found = measured(quantiles(0.7), (0.245 - 0.7 * x).expand(10_000, -1))
    assert found["value"] == pytest.approx(VALUE, abs=2e-3)
    assert found["jsd"] == pytest.approx(JSD, abs=2e-3)
    assert found["error"] < 0.01
    assert found["outside"] == 0


def test_samples_outside_of_the_interval_are_counted_and_left_out():
    samples = torch.cat([quantiles(0, count=300), torch.full((100, 1), 50.0)])
    assert measured(samples)["outside"] == 0.25
    assert measured(samples, span=60)["outside"] == 0


def test_one_sample_far_away_changes_little():
    """The divergence of equal densities; one sample of 10,001 adds log(2) / 2 / 10,001."""
    plain = measured(quantiles(0))["jsd"]
    assert plain < 1e-3
    assert measured(torch.cat([quantiles(0), torch.tensor([[1e4]])]))["jsd"] == pytest.approx(plain, abs=1e-4)


def test_samples_that_are_all_outside_have_a_jsd_of_log_2():
    assert measured(torch.full((100, 1), 50.0))["jsd"] == pytest.approx(math.log(2), abs=1e-6)
    half = torch.cat([quantiles(0, count=5000), torch.full((5000, 1), 50.0)])
    # With q = p / 2 inside: (log(4/3) + log(2/3) / 2) / 2 inside, log(2) / 4 outside.
    assert measured(half)["jsd"] == pytest.approx(
        (math.log(4 / 3) + math.log(2 / 3) / 2) / 2 + math.log(2) / 4, abs=2e-3
    )


def test_kernels_have_silvermans_bandwidth_but_no_less_than_the_distance_of_two_points():
    metric = OptimalDiscriminator().build(Gaussian(mean=1, sigma=0.5))
    metric.update({"samples": quantiles(1, 0.5, 1000), "logits": torch.zeros(1000, 801)})
    bandwidth = 0.9 * float(quantiles(1, 0.5, 1000).double().std()) * 1000**-0.2
    assert metric.protocol() == {
        "density of the samples": f"Gaussian kernels of bandwidth {bandwidth:.3g}",
        "interval": "801 points from -2 to 4",
    }
    collapsed = OptimalDiscriminator(span=6, points=601).build(Gaussian())
    collapsed.update({"samples": torch.full((50, 1), 0.013), "logits": torch.zeros(50, 601)})
    assert "bandwidth 0.02" in collapsed.protocol()["density of the samples"]
    assert float(torch.trapezoid(collapsed._density_of_samples(), collapsed.x)) == pytest.approx(1, abs=1e-6)


def test_the_data_are_normal_and_those_held_out_are_others():
    config = Gaussian(mean=2, sigma=0.5)
    numbers, others = (
        each.build().fetch(range(100_000), Randomness(0))["real"] for each in (config, config.held_out())
    )
    assert numbers.shape == (100_000, 1)
    assert float(numbers.mean()) == pytest.approx(2, abs=0.01)
    assert float(numbers.std()) == pytest.approx(0.5, abs=0.005)
    assert float((numbers > 2.5).float().mean()) == pytest.approx(1 - NormalDist().cdf(1), abs=0.005)
    assert not set(numbers[:1000].flatten().tolist()) & set(others[:1000].flatten().tolist())
    assert config.held_out().held_out() is None


def test_the_picture_has_the_four_curves_on_axes_that_do_not_move():
    densities = two_normals(0.3 - 0.6 * X)
    density, probability = make_figure(densities).axes
    p, q = density.lines
    half, optimal, discriminator = probability.lines
    assert p.get_ydata().tolist() == densities.p.tolist()
    assert q.get_ydata().tolist() == densities.q.tolist()
    assert discriminator.get_ydata().tolist() == torch.sigmoid(0.3 - 0.6 * X).tolist()
    assert list(half.get_ydata()) == [0.5, 0.5]
    drawn = torch.from_numpy(optimal.get_ydata())
    known = ~drawn.isnan()
    assert torch.equal(known, densities.p + densities.q > 0.03 * densities.p.max())
    torch.testing.assert_close(drawn[known], torch.sigmoid(0.245 - 0.7 * X)[known])
    assert probability.get_ylim() == (0, 1)
    assert density.get_ylim() == pytest.approx((0, 2 / math.sqrt(2 * math.pi)), rel=1e-5)
    assert (density.get_xlabel(), density.get_ylabel()) == ("x", "density")
    assert probability.get_ylabel() == "probability of real"
    image = draw_figure(densities)
    assert image.shape == (1, 3, 450, 700)
    assert (float(image.min()), float(image.max())) == (-1, 1)


def last_measurement(folder: RunFolder) -> dict[str, float]:
    """The results of the last measurement of a run, by the part of their names after the slash."""
    line = json.loads(folder.metrics.read_text().splitlines()[-1])
    return {name.partition("/")[2]: value for name, value in line.items()}


def config(**settings: Any) -> Experiment:
    """A game of one number, whose generator is x = w z + b."""
    return Experiment.model_validate(
        {
            "game": {
                "type": "adversarial",
                "generator": {"type": "mlp", "latent": 1, "hidden": [], "output": "linear"},
                "discriminator": {"type": "mlp", "hidden": [32]},
            },
            "losses": ["non-saturating"],
            "data": "gaussian",
            "train": {"total_images": 102_400, "batch_size": 512, "device": "cpu"},
            "evaluate": {"metrics": ["optimal-discriminator"]},
            **settings,
        }
    )


def test_a_trained_discriminator_approaches_the_closed_form(tmp_path: Path):
    """The generator stays at x = z + 0.7, so that samples are from N(0.7, 1)."""
    save_file(
        {"layers.0.weight": torch.ones(1, 1), "layers.0.bias": torch.tensor([0.7])}, tmp_path / "shift.safetensors"
    )
    lr = {"type": "cosine", "start": 1e-2, "end": 1e-4}
    optimizers = {"generator": {"type": "adam", "lr": 0}, "discriminator": {"type": "adam", "lr": lr}}
    weights = {"generator": {"file": str(tmp_path / "shift.safetensors")}}
    found = last_measurement(train(config(init_from=weights, optimizers=optimizers), out=tmp_path / "run"))
    assert found["value"] == pytest.approx(VALUE, abs=0.01)
    assert found["jsd"] == pytest.approx(JSD, abs=0.005)
    assert found["error"] < 0.02


CONDITIONAL = {"type": "adversarial", "generator": "mlp", "discriminator": "mlp", "condition": "real"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "ring"}, "needs numbers with a known density, not 'ring'"),
        ({"evaluate": {"metrics": [{"type": "optimal-discriminator", "sample": "real"}]}}, "fake side of no contest"),
        ({"game": CONDITIONAL}, "the discriminator 'discriminator' is conditional"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_run_begins(settings: Any, message: str, tmp_path: Path):
    with pytest.raises(BadInput, match=message) as problem:
        train(config(**settings), out=tmp_path / "run")
    assert problem.value.path[:3] == ("evaluate", "metrics", 0)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_preset_ends_at_equal_densities_and_a_value_of_minus_2_log_2(tmp_path: Path):
    folder = train(load_config("gaussian-1d"), out=tmp_path / "run")
    found = last_measurement(folder)
    assert found["value"] == pytest.approx(-2 * math.log(2), abs=0.003)
    assert found["jsd"] < 0.002
    assert found["error"] < 0.02
    assert len(list(folder.pictures.glob("*-optimal-discriminator.png"))) == 24
