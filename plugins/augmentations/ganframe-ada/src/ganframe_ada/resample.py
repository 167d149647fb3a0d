"""Bilinear resampling that is twice differentiable, and exact for whole-pixel coordinates.

Axes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resample(images: Tensor, inverse: Tensor) -> Tensor:
    """Read images at new coordinates; beyond the edge they are mirrored about the outermost pixels.

    This gathers pixels instead of calling `grid_sample`. That function normalises coordinates, so that rounding blurs
    even the identity, and it has no deterministic gradient on a GPU.

    Args:
        images: The images, `(B, C, H, W)`.
        inverse: The map from new to old coordinates in pixels from the centre, `(B, 3, 3)`.
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


def _neighbours(position: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels before and after each position on a mirrored line, and the weight of the second."""
    last = side - 1
    position = last - (position.remainder(max(2 * last, 1)) - last).abs() if last else torch.zeros_like(position)
    before = position.floor()
    index = before.long().clamp(0, last)
    return index, (index + 1).clamp(max=last), (position - before)[:, None]
