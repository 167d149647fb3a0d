"""The transformations of images `(B, C, H, W)`, with one parameter for each image.

Parameters are `(B,)`, or `(B, 2)` for a row and a column, in [0, 1): the same draw means the same change at any size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game import per_example


def brightness(images: Tensor, draw: Tensor) -> Tensor:
    """Add a number in [-0.5, 0.5)."""
    return images + per_example(draw - 0.5, images)


def saturation(images: Tensor, draw: Tensor) -> Tensor:
    """Scale the distance of each pixel's channels from their mean by a factor in [0, 2)."""
    grey = images.mean(dim=1, keepdim=True)
    return torch.lerp(grey.expand_as(images), images, per_example(2 * draw, images))


def contrast(images: Tensor, draw: Tensor) -> Tensor:
    """Scale the distance of each number from the image's mean by a factor in [0.5, 1.5)."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, per_example(draw + 0.5, images))


def translation(images: Tensor, draw: Tensor, ratio: float) -> Tensor:
    """Shift by whole pixels, at most a share `ratio` of each side; zeros come in.

    A draw of 0 gives the largest shift up and left; a draw of nearly 1 gives the largest shift down and right.
    """
    shifted = images
    for axis in (2, 3):
        side = images.shape[axis]
        largest = int(side * ratio + 0.5)
        shift = (draw[:, axis - 2] * (2 * largest + 1)).long() - largest
        shifted = _shift(shifted, shift, axis)
    return shifted


def _shift(images: Tensor, shift: Tensor, axis: int) -> Tensor:
    side = images.shape[axis]
    source = torch.arange(side, device=images.device) - shift[:, None]
    inside = (source >= 0) & (source < side)
    shape = (len(images), 1, side, 1) if axis == 2 else (len(images), 1, 1, side)
    index = source.clamp(0, side - 1).reshape(shape).expand_as(images)
    return torch.where(inside.reshape(shape), images.gather(axis, index), 0)


def cutout(images: Tensor, draw: Tensor, ratio: float) -> Tensor:
    """Set a rectangle to 0. Its sides are a share `ratio` of the image's, and its centre is anywhere in the image."""
    blank = torch.ones((), dtype=torch.bool, device=images.device)
    for axis in (2, 3):
        side = images.shape[axis]
        size = int(side * ratio + 0.5)
        centre = (draw[:, axis - 2] * (side + 1 - size % 2)).long()
        offset = torch.arange(side, device=images.device) - (centre - size // 2)[:, None]
        shape = (len(images), 1, side, 1) if axis == 2 else (len(images), 1, 1, side)
        blank = blank & ((offset >= 0) & (offset < size)).reshape(shape)
    return torch.where(blank, 0, images)
