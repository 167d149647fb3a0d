"""Laplacian pyramids, as Burt and Adelson 1983 (doi:10.1109/TCOM.1983.1095851) define them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

KERNEL = (1, 4, 6, 4, 1)
"""The binomial filter along each axis, in sixteenths."""


def laplacian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """Return the levels of the pyramid of images `(B, C, H, W)`, the finest first; the last is what remains, blurred.

    Args:
        images: The images.
        levels: The number of levels; with 1, these are the images themselves.
    """
    pyramid: list[Tensor] = []
    for _ in range(levels - 1):
        smaller = _blur(images)[:, :, ::2, ::2]
        pyramid.append(images - _enlarge(smaller, images.shape[2], images.shape[3]))
        images = smaller
    return [*pyramid, images]


def _enlarge(images: Tensor, height: int, width: int) -> Tensor:
    """Return images at twice their size, with zeros between the pixels and then blurred."""
    larger = images.new_zeros(*images.shape[:2], height, width)
    larger[:, :, ::2, ::2] = images
    return 4 * _blur(larger)


def _blur(images: Tensor) -> Tensor:
    """Filter each channel; at the edges, the image is mirrored at its outermost pixels."""
    channels = images.shape[1]
    line = torch.tensor(KERNEL, dtype=images.dtype, device=images.device) / 16
    kernel = torch.outer(line, line).expand(channels, 1, 5, 5)
    return conv2d(pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)
