"""The structural similarity against closed forms, and against sums over windows in numpy."""

import math

import numpy as np
import pytest
import torch
from ganframe_distances import SSIM
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ganframe import BadInput

DOUBLE = {"dtype": torch.float64}


def term(a: Tensor, b: Tensor, **settings) -> Tensor:
    return SSIM(**settings).build().forward({"fake": a, "target": b})


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **DOUBLE) * 2 - 1


def by_windows(a: np.ndarray, b: np.ndarray, side: int = 11, sigma: float = 1.5, span: float = 2.0) -> float:
    """The index of Wang et al., eq. 13 to 16, window by window, with variances about the weighted mean."""
    line = [math.exp(-((position - side // 2) ** 2) / (2 * sigma**2)) for position in range(side)]
    weights = np.outer(line, line) / sum(line) ** 2
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    found = []
    for image_a, image_b in zip(a.reshape(-1, *a.shape[2:]), b.reshape(-1, *b.shape[2:]), strict=True):
        for top in range(a.shape[2] - side + 1):
            for left in range(a.shape[3] - side + 1):
                x, y = (image[top : top + side, left : left + side] for image in (image_a, image_b))
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                spread_x, spread_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
                covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
                found.append(
                    (2 * mean_x * mean_y + c1)
                    * (2 * covariance + c2)
                    / ((mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2))
                )
    return float(np.mean(found))


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.25), (-0.8, 0.3), (0.0, 1.0), (1.0, -1.0)])
def test_constant_images_have_a_closed_form(a: float, b: float):
    """(2 a b + C1) / (a^2 + b^2 + C1) with C1 = (0.01 * 2)^2, as no variances remain."""
    c1 = 0.0004
    found = term(torch.full((2, 3, 16, 16), a, **DOUBLE), torch.full((2, 3, 16, 16), b, **DOUBLE))
    assert found.item() == pytest.approx(1 - (2 * a * b + c1) / (a * a + b * b + c1), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_mean_over_windows(seed: int):
    a = images(2, 2, 13, 15, seed=seed)
    b = (a + 0.5 * images(2, 2, 13, 15, seed=seed + 10)).clamp(-1, 1)
    assert term(a, b).item() == pytest.approx(1 - by_windows(a.numpy(), b.numpy()), abs=1e-10)


def test_other_windows_and_ranges_are_those_of_the_settings():
    a, b = images(1, 1, 9, 9), images(1, 1, 9, 9, seed=1)
    found = term(a, b, window=5, sigma=0.8, data_range=255)
    assert found.item() == pytest.approx(1 - by_windows(a.numpy(), b.numpy(), 5, 0.8, 255), abs=1e-10)


def test_it_agrees_with_gaussian_filters_of_scipy():
    """Filters that reach 5 pixels, cut off where they leave the image."""
    a, b = images(1, 1, 32, 32), images(1, 1, 32, 32, seed=1)
    x, y = a[0, 0].numpy(), b[0, 0].numpy()

    def blur(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    means = blur(x), blur(y)
    spreads = blur(x * x) - means[0] ** 2 + blur(y * y) - means[1] ** 2
    covariance = blur(x * y) - means[0] * means[1]
    first = (2 * means[0] * means[1] + 0.0004) / (means[0] ** 2 + means[1] ** 2 + 0.0004)
    expected = (first * (2 * covariance + 0.0036) / (spreads + 0.0036)).mean()
    assert term(a, b).item() == pytest.approx(1 - expected, abs=1e-10)


def test_it_is_0_for_equal_images_symmetric_and_almost_2_for_negatives():
    a, b = images(2, 3, 16, 16), images(2, 3, 16, 16, seed=1)
    assert term(a, a).item() == pytest.approx(0, abs=1e-12)
    assert term(a, b).item() == pytest.approx(term(b, a).item())
    board = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16)).expand(1, 1, 16, 16).double()
    assert term(board, -board).item() == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
def test_rounding_does_not_take_it_out_of_its_range(size: float):
    """Flat images: in float32, their squares round by much more than C2."""
    a, b = (size * images(30, 1, 1, 1, seed=seed).float().expand(30, 1, 11, 11) for seed in (0, 1))
    assert term(a, a).item() == pytest.approx(0, abs=1e-6)
    for other in (b, -a):
        for image, another in zip(a, other, strict=True):
            leaf = image[None].clone().requires_grad_()
            found = term(leaf, another[None])
            found.backward()
            assert -1e-6 <= found.item() <= 2 + 1e-6
            assert bool(leaf.grad.isfinite().all())


def test_gradients_agree_with_finite_differences():
    a, b = images(1, 2, 5, 6).requires_grad_(), images(1, 2, 5, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: term(a, b, window=5, sigma=1.0), (a, b))


def test_autocast_does_not_make_it_coarser():
    a, b = images(1, 1, 16, 16).float(), images(1, 1, 16, 16, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = term(a, b)
    assert found.item() == term(a, b).item()


def test_descending_the_term_brings_an_image_back():
    target = images(1, 1, 16, 16)
    image = (target + 0.5 * images(1, 1, 16, 16, seed=1)).requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    before = term(image, target).item()
    for _ in range(100):
        optimizer.zero_grad()
        term(image, target).backward()
        optimizer.step()
    assert term(image, target).item() < before / 20


@pytest.mark.parametrize("shape", [(2, 8), (2, 1, 10, 20)])
def test_tensors_that_no_window_fits_are_refused(shape: tuple[int, ...]):
    with pytest.raises(BadInput, match="images of at least 11 x 11"):
        term(torch.zeros(shape), torch.zeros(shape))
