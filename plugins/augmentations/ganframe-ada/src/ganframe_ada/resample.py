"""Bilinear resampling that can be differentiated twice and that copies pixels exactly where it hits them.

Axes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resampled(images: Tensor, inverse: Tensor) -> Tensor:
    """Images whose pixels come from elsewhere; beyond the edge the image is mirrored about its outermost pixels.

    Gathers are used where `grid_sample` would do: that normalises coordinates, so that even the identity blurs by
    rounding, and on a GPU it has no deterministic gradient.

    Args:
        images: `(B, C, H, W)`.
        inverse: `(B, 3, 3)`, from new to old coordinates in pixels from the centre.
    """
    height, width = images.shape[2:]
    inverse = inverse.to(images.dtype)
    y = torch.arange(height, device=images.device, dtype=images.dtype)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    m = inverse[:, :2, :, None, None].unbind(dim=1)
    old_x, old_y = (row[:, 0] * x + row[:, 1] * y + row[:, 2] for row in m)
    left, right, to_right = _neighbours(old_x + (width - 1) / 2, width)
    above, below, down = _neighbours(old_y + (height - 1) / 2, height)
    flat = images.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).flatten(1)[:, None].expand_as(flat)
        return flat.gather(2, index).reshape(images.shape)

    upper = (1 - to_right) * at(above, left) + to_right * at(above, right)
    lower = (1 - to_right) * at(below, left) + to_right * at(below, right)
    return (1 - down) * upper + down * lower


def _neighbours(place: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after each place on a mirrored line, and how far it lies from the first to the second."""
    last = side - 1
    place = last - (place.remainder(max(2 * last, 1)) - last).abs() if last else torch.zeros_like(place)
    before = place.floor()
    index = before.long().clamp(0, last)
    return index, (index + 1).clamp(max=last), (place - before)[:, None]
