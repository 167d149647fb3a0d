"""Nearest training examples of copies, of held-out examples and of others, and the test of their distances."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from ganframe_image_metrics import NearestNeighbours
from ganframe_image_metrics.nearest_neighbours import mann_whitney
from scipy.stats import mannwhitneyu
from torch import Tensor, nn

from ganframe.config import BadInput, DatasetConfig, DataSpec, EncoderConfig, TensorSpec
from ganframe.data import Randomness, TensorData
from ganframe.testing.fakes import FakeEncoder

TRAINING, HELD_OUT = 500, 300


def drawn(seed: int, count: int) -> Tensor:
    return (torch.randn((count, 1, 4, 4), generator=torch.Generator().manual_seed(seed)) / 3).clamp(-1, 1)


class Noise(DatasetConfig):
    """Images of noise, of which some are held out."""

    type: Literal["noise"] = "noise"
    held: bool = True
    seed: int = 0
    count: int = TRAINING
    flat: bool = False

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((16,) if self.flat else (1, 4, 4))}

    def build(self) -> TensorData:
        images = drawn(self.seed, self.count)
        return TensorData({"real": images.flatten(1) if self.flat else images})

    def held_out(self) -> DatasetConfig | None:
        return Noise(seed=1, count=HELD_OUT, held=False, flat=self.flat) if self.held else None


def metric_of(samples: Tensor, data: DatasetConfig | None = None, **settings: Any) -> Any:
    metric: Any = NearestNeighbours(**settings).build(data or Noise())
    for part in samples.split(70):
        metric.update({"fake": part})
    return metric


def measured(samples: Tensor, data: DatasetConfig | None = None, **settings: Any) -> dict[str, float]:
    return metric_of(samples, data, **settings).compute()


def test_copies_are_nearer_than_all_held_out_examples():
    """U = 0: z = -(nm / 2) / sqrt(nm (n + m + 1) / 12)."""
    found = measured(drawn(0, TRAINING)[:200])
    assert found["distance"] == 0
    assert found["nearer"] == 1
    assert found["z"] == pytest.approx(-(200 * 300 / 2) / math.sqrt(200 * 300 * 501 / 12))
    assert found["z"] < -18


def test_held_out_examples_are_as_near_as_they_are():
    found = measured(drawn(1, HELD_OUT))
    assert (found["nearer"], found["z"]) == (pytest.approx(0.5), pytest.approx(0))
    assert found["distance"] == found["held-out distance"]


def test_other_examples_of_the_distribution_are_near_by_chance():
    found = [measured(drawn(seed, 250)) for seed in range(2, 12)]
    assert all(abs(each["nearer"] - 0.5) < 0.12 for each in found)
    # The held-out examples are the same each time, so that the values of z are not independent.
    assert all(abs(each["z"]) < 4 for each in found)


def test_samples_far_away_are_never_nearer():
    assert measured(torch.ones(50, 1, 4, 4))["nearer"] == 0


def test_half_copies_are_half_nearer():
    """The copies are nearer in all pairs, the held-out examples themselves in half of them."""
    samples = torch.cat([drawn(0, 300), drawn(1, HELD_OUT)])
    assert measured(samples)["nearer"] == pytest.approx(0.75)


def test_small_distances_are_exact():
    """Copies that are off by 1e-4 in one number, far from the origin: sums of squares would lose that."""
    copies = drawn(0, TRAINING)[:100].clone()
    copies[:, 0, 0, 0] += 1e-4
    assert measured(copies)["distance"] == pytest.approx(1e-4, rel=1e-3)


def test_the_nearest_of_all_training_examples_is_found():
    """As many as several parts of the data; each sample belongs to an example of its own."""
    data = drawn(0, TRAINING)
    rows = torch.tensor([3, 499, 250, 199, 200])
    metric = metric_of(data[rows] + 1e-3, shown=5)
    metric.compute()
    pictures = metric.pictures()
    torch.testing.assert_close(pictures["nearest"], pictures["sample"] - 1e-3)
    assert {tuple(image.flatten().tolist()) for image in pictures["nearest"]} == {
        tuple(image.flatten().tolist()) for image in data[rows]
    }


def test_the_picture_goes_from_the_nearest_sample_to_the_farthest():
    samples = drawn(0, 9) + torch.linspace(0.9, 0.1, 9)[:, None, None, None]
    metric = metric_of(samples, shown=3)
    metric.compute()
    assert metric.pictures()["sample"].shape == (3, 1, 4, 4)
    distances = torch.cdist(metric.pictures()["sample"].flatten(1), drawn(0, TRAINING).flatten(1)).amin(dim=1)
    assert distances.tolist() == sorted(distances.tolist())
    assert distances[-1] == torch.cdist(samples.flatten(1), drawn(0, TRAINING).flatten(1)).amin(dim=1).max()


def test_without_held_out_data_there_is_no_comparison():
    found = measured(drawn(2, 50), Noise(held=False))
    assert found.keys() == {"distance"}


def test_points_are_measured_but_not_drawn():
    metric = metric_of(drawn(0, 20).flatten(1), Noise(flat=True))
    assert metric.compute()["nearer"] == 1
    assert metric.pictures() == {}


class Brightness(EncoderConfig):
    """The mean brightness, after an activation that nobody should read."""

    type: Literal["brightness"] = "brightness"

    def build(self) -> nn.Module:
        return BrightnessNetwork()


class BrightnessNetwork(nn.Module):
    def forward(self, sample: Tensor) -> tuple[Tensor, ...]:
        return sample * math.nan, sample


def test_features_are_the_mean_of_the_last_activation():
    """Shuffled pixels are copies to whoever sees only the mean."""
    copies = drawn(0, 100).flip(2, 3)
    assert measured(copies, encoder=Brightness())["distance"] < 1e-6
    assert measured(copies)["distance"] > 0.5


def test_the_protocol_is_told():
    metric = metric_of(drawn(0, 20))
    metric.compute()
    assert metric.protocol() == {
        "encoder": "none: pixels",
        "training examples": "500",
        "held-out examples": "300",
    }
    metric = NearestNeighbours(encoder=FakeEncoder()).build(Noise())
    assert metric.protocol() == {"encoder": "stub"}


def test_samples_of_another_shape_are_refused():
    with pytest.raises(BadInput, match="sample: one example of 'fake' is 3 x 4 x 4, and one of the data 1 x 4 x 4"):
        metric_of(torch.zeros(2, 3, 4, 4))


class NearDuplicates(Noise):
    """Vectors far from the origin that differ by little."""

    type: Literal["near-duplicates"] = "near-duplicates"

    def build(self) -> TensorData:
        return TensorData({"real": 100 + torch.arange(100)[:, None].expand(-1, 16) * 1e-3})

    def held_out(self) -> None:
        return None


def test_the_nearest_of_near_duplicates_is_found():
    copies = NearDuplicates(flat=True).build().fetch(range(100), Randomness(0))["real"]
    assert measured(copies, NearDuplicates(flat=True)) == {"distance": 0}


def test_other_names_of_the_data_are_refused():
    with pytest.raises(BadInput, match=r"real: the data has no 'image'\n  It has: real\."):
        NearestNeighbours(real="image").build(Noise())


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 30, 0.0), (200, 150, 0.3), (30, 300, -1.0)])
def test_the_statistic_is_that_of_scipy(n: int, m: int, shift: float):
    generator = torch.Generator().manual_seed(n)
    samples = torch.randn(n, generator=generator, dtype=torch.float64) + shift
    held_out = torch.randn(m, generator=generator, dtype=torch.float64)
    nearer, z = mann_whitney(samples, held_out)
    u = mannwhitneyu(samples.numpy(), held_out.numpy(), alternative="less", method="asymptotic", use_continuity=False)
    assert nearer == pytest.approx(1 - u.statistic / (n * m))
    assert 0.5 * math.erfc(-z / math.sqrt(2)) == pytest.approx(u.pvalue, rel=1e-9)


def test_ties_count_as_half():
    assert mann_whitney(torch.zeros(4), torch.zeros(5)) == (0.5, 0)
    nearer, _ = mann_whitney(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0]))
    assert nearer == pytest.approx((1 + 1 + 0.5 + 1) / 4)
