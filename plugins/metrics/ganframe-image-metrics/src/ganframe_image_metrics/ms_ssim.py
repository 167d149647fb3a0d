"""Multi-scale structural similarity of two images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The weight of each scale, the finest first."""
WINDOW, SIGMA = 11, 1.5
"""The side of the Gaussian window and its standard deviation, in pixels."""
C1, C2 = 0.01**2, 0.03**2
"""The constants of the luminance term and of the contrast-structure term, for images in [0, 1]."""


def scales_of(sides: Sequence[int]) -> int:
    """Return the number of scales, at most 5, at which an image is at least as large as the window; at least 1."""
    scales = 1
    while scales < len(WEIGHTS) and min(sides) // 2**scales >= WINDOW:
        scales += 1
    return scales


def weights_of(scales: int) -> list[float]:
    """Return the published weights of all five scales, or those of the finest ones, renormalised to a sum of 1."""
    if scales == len(WEIGHTS):
        return list(WEIGHTS)
    chosen = WEIGHTS[:scales]
    return [weight / sum(chosen) for weight in chosen]


def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the similarity of each pair of images, `(B,)` in [0, 1].

    With l the luminance term, cs the contrast-structure term, both averaged over positions and channels, and w the
    weights of M scales: l_M^w_M * prod_j cs_j^w_j. A negative average counts as 0. The window is cut to the image where
    that is smaller. Images are averaged over 2 x 2 pixels from scale to scale.

    Args:
        first: Images `(B, C, H, W)` in [0, 1].
        second: Images of the same shape.

    References:
        Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216, eq. 7 and section 3.2.
    """
    weights = weights_of(scales_of(first.shape[2:]))
    similarity = first.new_ones(len(first))
    for scale, weight in enumerate(weights, start=1):
        luminance, contrast_structure = _terms(first, second)
        similarity = similarity * contrast_structure.clamp(min=0) ** weight
        if scale == len(weights):
            similarity = similarity * luminance.clamp(min=0) ** weight
        else:
            first, second = avg_pool2d(first, 2), avg_pool2d(second, 2)
    return similarity


def _terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the averages of the full similarity over contrast-structure, and of contrast-structure, `(B,)` each."""
    mean_1, mean_2 = _windowed(first), _windowed(second)
    variance_1 = _windowed(first * first) - mean_1 * mean_1
    variance_2 = _windowed(second * second) - mean_2 * mean_2
    covariance = _windowed(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + C1) / (mean_1 * mean_1 + mean_2 * mean_2 + C1)
    contrast_structure = (2 * covariance + C2) / (variance_1 + variance_2 + C2)
    return luminance.flatten(1).mean(1), contrast_structure.flatten(1).mean(1)


def _windowed(images: Tensor) -> Tensor:
    """Return Gaussian means around each position at which the whole window lies in the image."""
    channels = images.shape[1]
    for axis in (2, 3):
        size = min(WINDOW, images.shape[axis])
        places = torch.arange(size, dtype=images.dtype, device=images.device) - (size - 1) / 2
        line = torch.exp(-(places**2) / (2 * SIGMA**2))
        shape = (channels, 1, size, 1) if axis == 2 else (channels, 1, 1, size)
        kernel = (line / line.sum()).reshape((1, 1, size, 1) if axis == 2 else (1, 1, 1, size)).expand(shape)
        images = conv2d(images, kernel, groups=channels)
    return images
