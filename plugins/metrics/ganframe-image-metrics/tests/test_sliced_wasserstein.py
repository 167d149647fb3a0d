"""Patches, pyramids and distances against scipy in float64 and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_image_metrics import SlicedWasserstein
from ganframe_image_metrics.pyramid import laplacian_pyramid
from ganframe_image_metrics.sliced_wasserstein import PatchDistance, levels_of, normalised
from scipy.integrate import quad
from scipy.ndimage import convolve
from scipy.stats import norm, wasserstein_distance
from torch import Tensor

from ganframe.config import BadInput
from ganframe.data import Randomness


def images(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def measured(real: Tensor, fake: Tensor, **settings: Any) -> dict[str, float]:
    metric = PatchDistance(SlicedWasserstein(**settings))
    metric.update({"real": real, "fake": fake})
    return metric.compute()


def test_the_protocol_of_the_paper_is_the_default():
    config = SlicedWasserstein()
    assert (config.samples, config.patches, config.projections) == (16_384, 128, 512)


@pytest.mark.parametrize(
    ("sides", "levels"),
    [((8, 8), 1), ((16, 16), 1), ((28, 28), 1), ((31, 64), 1), ((32, 32), 2), ((64, 48), 2), ((1024, 1024), 7)],
)
def test_levels_go_down_to_16_pixels(sides: tuple[int, int], levels: int):
    assert levels_of(sides) == levels


@pytest.mark.parametrize("sides", [(16, 16), (13, 18)])
def test_a_pyramid_is_that_of_scipy(sides: tuple[int, int]):
    """Burt and Adelson: blur, take every other pixel; the level is what the enlarged picture lacks."""
    image = images(1, 1, *sides).double()
    fine, coarse = (level[0, 0].numpy() for level in laplacian_pyramid(image, 2))
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    pixels = image[0, 0].numpy()
    smaller = convolve(pixels, kernel, mode="mirror")[::2, ::2]
    spread = np.zeros_like(pixels)
    spread[::2, ::2] = smaller
    np.testing.assert_allclose(coarse, smaller, atol=1e-12)
    np.testing.assert_allclose(fine, pixels - convolve(spread, 4 * kernel, mode="mirror"), atol=1e-12)


def test_channels_of_a_pyramid_are_apart():
    both = images(2, 3, 20, 20)
    for channel in range(3):
        alone = laplacian_pyramid(both[:, channel : channel + 1], 3)
        for level, own in zip(laplacian_pyramid(both, 3), alone, strict=True):
            torch.testing.assert_close(level[:, channel : channel + 1], own)


def test_each_channel_of_patches_is_normalised():
    patches = images(50, 2, 49) * torch.tensor([3.0, 100.0])[:, None] + 7
    found = normalised(patches).reshape(50, 2, 49)
    for channel in range(2):
        assert found[:, channel].mean().item() == pytest.approx(0, abs=1e-6)
        assert found[:, channel].std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_patches_that_are_images_have_the_distance_of_scipy():
    """Images of 7 x 7 have a single patch: themselves."""
    real, fake = images(40, 2, 7, 7), images(40, 2, 7, 7, seed=1).sign() * 0.5
    found = measured(real, fake, patches=1, projections=20, seed=3)
    generator = Randomness(3).at(0).generator("directions")
    directions = torch.randn((20, 98), generator=generator).double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def patches(side: Tensor) -> np.ndarray:
        pixels = np.round((side.double().numpy() + 1) * 127.5).reshape(40, 2, 49)
        mean, deviation = pixels.mean(axis=(0, 2), keepdims=True), pixels.std(axis=(0, 2), keepdims=True)
        return ((pixels - mean) / deviation).reshape(40, 98)

    sides = patches(real), patches(fake)
    distances = [wasserstein_distance(*(side @ direction for side in sides)) for direction in directions]
    assert found["mean"] == pytest.approx(1000 * np.mean(distances), rel=1e-5)
    assert found["7x7"] == found["mean"]


def test_flat_patches_and_noise_have_the_distance_of_gaussians():
    """Along a direction u, noise is N(0, 1), and flat patches are N(0, (sum of u)²), where sum of u is about N(0, 1).

    The 1-Wasserstein distance of N(0, s²) and N(0, 1) is |s - 1| sqrt(2 / pi).
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((4000, 1, 7, 7), generator=generator) / 6
    flat = (torch.randn((4000, 1, 1, 1), generator=generator) / 6).expand_as(noise)
    expected, _ = quad(lambda s: abs(abs(s) - 1) * norm.pdf(s), -10, 10)
    found = measured(noise, flat, patches=1)["mean"] / 1000
    assert found == pytest.approx(expected * math.sqrt(2 / math.pi), rel=0.05)


def test_results_are_by_resolution_and_their_mean():
    found = measured(images(6, 3, 64, 32), images(6, 3, 64, 32, seed=1), patches=4, projections=4)
    assert found.keys() == {"mean", "64x32", "32x16"}
    assert found["mean"] == pytest.approx((found["64x32"] + found["32x16"]) / 2)


def test_blur_is_seen_above_all_at_the_finest_level():
    real, other = images(200, 1, 32, 32), images(200, 1, 32, 32, seed=1)
    blurred = torch.nn.functional.avg_pool2d(other, 3, stride=1, padding=1)
    same = measured(real, other, patches=16, projections=32)
    found = measured(real, blurred, patches=16, projections=32)
    fine, coarse = (found[level] / same[level] - 1 for level in ("32x32", "16x16"))
    assert fine > 1
    assert fine > 2 * coarse


def test_brightness_and_contrast_do_not_count():
    """Up to the rounding to 8 bits; the images are single patches, so that both sides have the same ones."""
    real = images(100, 1, 7, 7)
    assert measured(real, real * 0.5 + 0.2, patches=1, projections=16)["mean"] < 1000 / 127.5


def test_images_without_any_contrast_are_measured():
    found = measured(images(20, 1, 16, 16), torch.zeros(20, 1, 16, 16), patches=8, projections=16)
    assert math.isfinite(found["mean"])
    assert found["mean"] > 300


def test_places_are_all_over_an_image_and_follow_from_its_content():
    metric = PatchDistance(SlicedWasserstein(patches=5000))
    places = metric._places([("a", 0), ("b", 0), ("a", 0), ("a", 1)], 0, (16, 9))
    assert torch.equal(places[0], places[2])
    assert not torch.equal(places[0], places[1])
    assert not torch.equal(places[0], places[3])
    counts = [places[0, :, axis].bincount() for axis in (0, 1)]
    assert [len(count) for count in counts] == [10, 3]
    for count in counts:
        share = 5000 / len(count)
        assert all(abs(int(found) - share) < 5 * math.sqrt(share) for found in count)


def test_images_smaller_than_a_patch_are_refused():
    with pytest.raises(BadInput, match="images of 6 x 9 have no patch of 7 x 7"):
        measured(images(2, 1, 6, 9), images(2, 1, 6, 9))


def test_vectors_are_refused():
    with pytest.raises(BadInput, match="measures images, but one example of 'real' is"):
        measured(images(2, 8), images(2, 8))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 32)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(BadInput, match="compares images of one shape, but 'real' is 1 x 32 x 32, 'fake' is"):
        measured(images(2, 1, 32, 32), images(2, *shape))


def test_the_protocol_is_told():
    metric = PatchDistance(SlicedWasserstein())
    metric.update({"real": images(1, 1, 32, 32), "fake": images(1, 1, 32, 32)})
    assert metric.protocol() == {
        "patches": "128 of 7 x 7 from each image at each level",
        "projections": "512",
        "levels": "2, the coarsest from 16 pixels on",
        "images": "8 bits",
        "distinct reals": "1",
        "seed": "0",
    }
