"""Structural similarity against an explicit float64 reference and closed forms, and random pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ganframe_image_metrics import MSSSIM
from ganframe_image_metrics.diversity import Diversity
from ganframe_image_metrics.ms_ssim import ms_ssim, scales_of, weights_of
from ganframe_image_metrics.stored_images import shuffled
from scipy.signal import convolve2d
from torch import Tensor

from ganframe.config import BadInput

PUBLISHED = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def images(count: int, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.rand((count, *shape[:-2], 8, 8), generator=generator, dtype=torch.float64)
    coarse = torch.nn.functional.interpolate(smooth, shape[-2:], mode="bilinear")
    noise = torch.rand((count, *shape), generator=generator, dtype=torch.float64)
    return 0.7 * coarse + 0.3 * noise


def reference(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2003 by the letter, for five scales of images `(C, H, W)` in [0, 1]."""
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2))
    window /= window.sum()

    def windowed(maps: np.ndarray) -> np.ndarray:
        return np.stack([convolve2d(channel, window, mode="valid") for channel in maps])

    total = 1.0
    for scale, weight in enumerate(PUBLISHED):
        mu1, mu2 = windowed(first), windowed(second)
        var1, var2 = windowed(first**2) - mu1**2, windowed(second**2) - mu2**2
        covariance = windowed(first * second) - mu1 * mu2
        contrast = (2 * covariance + 0.0009) / (var1 + var2 + 0.0009)
        total *= contrast.mean() ** weight
        if scale == 4:
            total *= ((2 * mu1 * mu2 + 0.0001) / (mu1**2 + mu2**2 + 0.0001)).mean() ** weight
            return total
        first, second = (
            side.reshape(side.shape[0], side.shape[1] // 2, 2, side.shape[2] // 2, 2).mean(axis=(2, 4))
            for side in (first, second)
        )
    raise AssertionError("the coarsest scale comes last")


@pytest.mark.parametrize("channels", [1, 3])
def test_five_scales_by_the_letter(channels: int):
    first = images(2, channels, 176, 192)
    second = 0.8 * first + 0.2 * images(2, channels, 176, 192, seed=1)
    found = ms_ssim(first, second)
    expected = [reference(*pair) for pair in zip(first.numpy(), second.numpy(), strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert 0.5 < expected[0] < 0.99


@pytest.mark.parametrize("shape", [(1, 176, 176), (3, 28, 28), (1, 5, 9)])
def test_identical_images_have_similarity_1(shape: tuple[int, ...]):
    image = images(3, *shape)
    assert ms_ssim(image, image).tolist() == pytest.approx([1, 1, 1], abs=1e-12)


@pytest.mark.parametrize(("side", "weight"), [(176, 0.1333), (28, 0.2856 / 0.3304), (11, 1.0)])
def test_black_and_white_differ_in_luminance_only(side: int, weight: float):
    """l = C1 / (1 + C1), and it counts at the coarsest scale."""
    black, white = torch.zeros(1, 1, side, side).double(), torch.ones(1, 1, side, side).double()
    assert ms_ssim(black, white).item() == pytest.approx((1e-4 / 1.0001) ** weight, rel=1e-9)


def test_a_negative_has_similarity_0():
    image = images(1, 1, 32, 32)
    assert ms_ssim(image, 1 - image).item() == 0


@pytest.mark.parametrize(
    ("sides", "scales"), [((176, 200), 5), ((175, 200), 4), ((64, 64), 3), ((28, 28), 2), ((21, 21), 1), ((5, 5), 1)]
)
def test_small_images_have_fewer_scales(sides: tuple[int, int], scales: int):
    assert scales_of(sides) == scales


def test_weights_are_the_published_ones():
    assert weights_of(5) == PUBLISHED
    assert weights_of(2) == pytest.approx([0.0448 / 0.3304, 0.2856 / 0.3304])


def measured(fake: Tensor, real: Tensor | None = None, labels: Tensor | None = None, **settings: Any) -> Any:
    metric = Diversity(MSSSIM(label=None if labels is None else "label", **settings))
    tensors = {"fake": fake, "real": fake if real is None else real}
    metric.update(tensors if labels is None else tensors | {"label": labels})
    return metric.compute()


def stripes(count: int) -> Tensor:
    """Different images that have nothing in common, `(count, 1, 16, 16)` in [-1, 1]."""
    return torch.randn((count, 1, 16, 16), generator=torch.Generator().manual_seed(5)).sign()


def test_copies_of_one_image_are_not_diverse():
    one = stripes(1).expand(20, -1, -1, -1)
    found = measured(one, stripes(20))
    assert found["fake"] == pytest.approx(1)
    assert found["real"] < 0.5
    assert found.keys() == {"fake", "real"}


def test_copies_meet_each_other_as_often_as_by_chance():
    """600 samples of 4 images: a pair is of one image with probability 149 / 599, whatever the order of contents."""
    four = stripes(4)
    pairs = [(four[[a]].double() / 2 + 0.5, four[[b]].double() / 2 + 0.5) for a in range(4) for b in range(a)]
    unlike = float(np.mean([ms_ssim(*pair).item() for pair in pairs]))
    found = measured(four.repeat(600 // 4, 1, 1, 1))["fake"]
    share = 149 / 599
    assert found == pytest.approx(share + (1 - share) * unlike, abs=0.06)


def test_pairs_are_of_one_class():
    """Each class has an image of its own: all pairs are alike, although half of all pairs would not be."""
    labels = torch.arange(40) % 2
    fake = stripes(2)[labels]
    found = measured(fake, stripes(40), labels)
    assert found["fake"] == pytest.approx(1)
    assert found["highest"] == pytest.approx(1)
    assert found["real"] < 0.5
    assert measured(fake)["fake"] < 0.9


def test_classes_count_alike_and_the_highest_is_told():
    """One class of 30 has copies, the other of 10 has none."""
    labels = torch.tensor([0] * 30 + [1] * 10)
    fake = torch.cat([stripes(1).expand(30, -1, -1, -1), stripes(10)])
    alone = measured(fake[30:])["fake"]
    found = measured(fake, labels=labels)
    assert found["fake"] == pytest.approx((1 + alone) / 2)
    assert found["highest"] == pytest.approx(1)


def test_a_class_of_one_sample_has_no_pair():
    labels = torch.tensor([0, 0, 1])
    assert measured(stripes(3), labels=labels)["highest"] == pytest.approx(measured(stripes(2))["fake"])
    with pytest.raises(BadInput, match="no class has two samples"):
        measured(stripes(3), labels=torch.arange(3))


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(BadInput, match="'label' is no class label"):
        measured(stripes(3), labels=torch.zeros(3))


def test_repeated_reals_count_once():
    """A pair of one real and itself would have the similarity 1."""
    reals = stripes(2)
    assert measured(stripes(20), reals.repeat(10, 1, 1, 1))["real"] == measured(stripes(2), reals)["real"] < 0.5


def test_the_protocol_says_that_the_window_is_cut():
    metric = Diversity(MSSSIM())
    metric.update({"fake": torch.zeros(3, 1, 8, 16), "real": torch.zeros(3, 1, 8, 16)})
    assert metric.protocol()["window"] == "cut to 8 x 11, the size of the images"
    assert metric.protocol()["distinct reals"] == "1"


def test_images_of_another_shape_are_refused():
    with pytest.raises(BadInput, match="compares images of one shape, but 'real' is 1 x 28 x 28, 'fake' is 1 x 16 x 1"):
        measured(stripes(4), torch.zeros(4, 1, 28, 28))


def test_an_order_is_random_and_follows_from_content_and_seed():
    contents = [str(number % 50) for number in range(200)]
    order = shuffled(contents, 0)
    assert sorted(order) == list(range(200))
    again = shuffled(contents[::-1], 0)
    assert [contents[index] for index in order] == [contents[::-1][index] for index in again]
    assert shuffled(contents, 1) != order
    assert abs(np.corrcoef(order, range(200))[0, 1]) < 0.25


def test_the_protocol_says_that_there_are_fewer_scales():
    metric = Diversity(MSSSIM(label="label"))
    metric.update({"fake": stripes(2), "real": stripes(2), "label": torch.zeros(2, dtype=torch.int64)})
    assert metric.protocol() == {
        "scales": "1 with the weights 1.0000, renormalised, as the images are too small for 4 more",
        "pairs": "of one 'label' each",
        "window": "11 x 11",
        "images": "8 bits",
        "distinct reals": "2",
        "seed": "0",
    }
    large = Diversity(MSSSIM())
    large.update({"fake": torch.zeros(2, 1, 176, 176), "real": torch.zeros(2, 1, 176, 176)})
    assert large.protocol()["scales"] == "5 with the weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333"
    assert large.protocol()["pairs"] == "of random samples"
