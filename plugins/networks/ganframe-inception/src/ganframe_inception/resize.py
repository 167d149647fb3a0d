"""The bilinear resize of TensorFlow 1."""

from __future__ import annotations

import torch
from torch import Tensor


def resize_bilinear(images: Tensor, height: int, width: int) -> Tensor:
    """Resize images as TensorFlow 1's `resize_bilinear` with `align_corners=False` does.

    Output pixel i lies at i * input size / output size of the input: the first pixels coincide, there are no half-pixel
    centres, and nothing is smoothed before images are made smaller. `torch.nn.functional.interpolate` has another rule.
    Positions are float32, as in TensorFlow.

    Args:
        images: `(B, C, H, W)`.
        height: New height, in pixels.
        width: New width, in pixels.

    Returns:
        Images `(B, C, height, width)`.

    References:
        Parmar et al. 2022, arXiv:2104.11222, section 3: resizes in measurements of the FID.
    """
    return _resize_axis(_resize_axis(images, 3, width), 2, height)


def _resize_axis(images: Tensor, axis: int, size: int) -> Tensor:
    before = images.shape[axis]
    if before == size:
        return images
    position = torch.arange(size, dtype=torch.float32, device=images.device) * (before / size)
    lower = position.floor().long().clamp(max=before - 1)
    upper = (lower + 1).clamp(max=before - 1)
    fraction = (position - lower).to(images.dtype)
    if axis == 2:
        fraction = fraction[:, None]
    low, high = images.index_select(axis, lower), images.index_select(axis, upper)
    return low + (high - low) * fraction
