import math

import pytest
import torch
from ganframe_gaussians import GaussianMixture, Grid, ModeCoverage, Ring
from torch import Tensor

from ganframe import BadInput, load_config
from ganframe.game import Randomness
from ganframe.testing.fakes import FakeData
from ganframe.training.assembly import assemble

CEILING = 1 - math.exp(-4.5)
"""Share of a plane Gaussian within 3 sigma."""
MIXTURES = [Ring(), Grid()]


def points_of(config: GaussianMixture) -> Tensor:
    dataset = config.build()
    return dataset.fetch(range(len(dataset)), Randomness(0))["real"]


def measured(config: GaussianMixture, points: Tensor) -> dict[str, float]:
    metric = ModeCoverage().build(config)
    metric.update({"fake": points})
    return metric.compute()


def ring_of(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], 1)


def test_the_ring_has_8_distinct_modes_at_equal_angles():
    modes = torch.tensor(Ring().centres(), dtype=torch.float64)
    assert len(modes) == 8
    torch.testing.assert_close(modes.norm(dim=1), torch.ones(8, dtype=torch.float64))
    neighbours = (modes - modes.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbours, torch.full((8,), 2 * math.sin(math.pi / 8), dtype=torch.float64))
    assert float(torch.pdist(modes).min()) > 0.7


def test_a_linspace_that_repeats_its_endpoint_gives_7_modes():
    """The usual slip: 8 angles from 0 to 2 pi, both included."""
    slip = ring_of(torch.linspace(0, 2 * math.pi, 8, dtype=torch.float64))
    assert float(torch.pdist(slip).min()) < 1e-12
    right = ring_of(torch.arange(8, dtype=torch.float64) * 2 * math.pi / 8)
    assert measured(Ring(), right)["modes"] == 8
    assert measured(Ring(), slip)["modes"] < 8
    assert measured(Ring(modes=7), slip)["modes"] == 7


def test_the_grid_is_even_numbers_up_to_4():
    assert sorted(Grid().centres()) == [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]


def test_sizes_are_those_of_the_field():
    assert (Ring().sigma, Ring().radius, Grid().sigma, Grid().spacing) == (0.01, 1, 0.05, 2)


@pytest.mark.parametrize("config", MIXTURES)
def test_points_scatter_by_sigma_around_modes_of_equal_size(config: GaussianMixture):
    dataset = config.build()
    batch = dataset.fetch(range(len(dataset)), Randomness(0))
    offsets = batch["real"] - torch.tensor(config.centres())[batch["label"]]
    assert len(batch["label"].bincount().unique()) == 1
    assert float(offsets.std()) == pytest.approx(config.sigma, rel=0.01)
    assert float(offsets.mean().abs()) < config.sigma / 100
    assert abs(float(torch.corrcoef(offsets.T)[0, 1])) < 0.02


@pytest.mark.parametrize("config", MIXTURES)
def test_held_out_points_are_others_of_the_same_mixture(config: GaussianMixture):
    held_out = config.held_out()
    assert held_out.centres() == config.centres()
    assert held_out.held_out() is None
    shared = set(map(tuple, points_of(config)[:1000].tolist())) & set(map(tuple, points_of(held_out)[:1000].tolist()))
    assert not shared


def test_the_seed_fixes_the_points():
    assert torch.equal(points_of(Ring(samples=50)), points_of(Ring(samples=50)))
    assert not torch.equal(points_of(Ring(samples=50)), points_of(Ring(samples=50, seed=1)))


@pytest.mark.parametrize("config", MIXTURES)
def test_the_data_itself_reaches_the_ceiling_and_not_more(config: GaussianMixture):
    """Within 4 standard errors over 100,000 points; a wrong radius or a wrong norm is off by 0.3% or more."""
    found = measured(config, points_of(config))
    assert found["high quality"] == pytest.approx(CEILING, abs=4 * math.sqrt(CEILING * (1 - CEILING) / 1e5))
    assert found["modes"] == len(config.centres())
    assert found["kl"] < 1e-6


@pytest.mark.parametrize(("radius", "share"), [(1.0, 0.39347), (2.0, 0.86466)])
def test_other_radii_have_the_share_of_rayleighs_law(radius: float, share: float):
    metric = ModeCoverage(radius=radius).build(Grid())
    metric.update({"fake": points_of(Grid())})
    assert metric.compute()["high quality"] == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize("config", MIXTURES)
def test_a_perfect_sampler_of_2500_points_has_the_expected_kl(config: GaussianMixture):
    """KL = (K - 1) / (2 N) on average over independent draws, which is not 0."""
    modes = torch.tensor(config.centres())
    generator = torch.Generator().manual_seed(0)
    found = [measured(config, modes[torch.randint(len(modes), (2500,), generator=generator)])["kl"] for _ in range(200)]
    assert sum(found) / 200 == pytest.approx((len(modes) - 1) / 5000, rel=0.15)


def test_missing_modes_are_missed():
    """All samples on k of K modes alike: KL = ln(K / k)."""
    found = measured(Grid(), torch.tensor(Grid().centres()[:5]))
    assert found["modes"] == 5
    assert found["kl"] == pytest.approx(math.log(5))


def test_samples_between_modes_cover_none():
    found = measured(Ring(), torch.zeros(10, 2) + 0.01)
    assert found["modes"] == 0
    assert found["high quality"] == 0


def test_the_modes_may_come_from_elsewhere():
    metric = ModeCoverage(modes="grid", sample="fake_b").build(FakeData())
    metric.update({"fake_b": torch.tensor(Grid().centres())})
    assert metric.compute()["modes"] == 25
    assert ModeCoverage(sample="fake_b").tensors() == ("fake_b",)


def test_data_without_known_modes_is_refused():
    with pytest.raises(BadInput, match="known modes"):
        ModeCoverage().build(FakeData())


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_the_presets_follow_the_protocol(name: str):
    experiment = load_config(name)
    assembly = assemble(experiment)
    steps = experiment.train.total_images / assembly.images_per_step
    assert (steps, assembly.images_per_step) == (15_000, 256)
    assert 0.5 ** (256 / experiment.train.ema.half_life_images) == pytest.approx(0.999, abs=1e-6)
    for config in assembly.optimizer_configs().values():
        start, end = (config.settings(images, 1) for images in (0, 1))
        assert (start["lr"], start["betas"][1]) == (1e-3, 0.9)
        assert (end["lr"], end["betas"][1]) == pytest.approx((0, 0.99))
    gammas = [(term.weight.at(0, 1), term.weight.at(1, 1)) for term in experiment.regularizers]
    assert gammas == [pytest.approx((0.1, 0.001))] * 2
