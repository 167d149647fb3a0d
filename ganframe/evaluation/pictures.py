"""Named tensors as pictures: images in a grid, and plots of numbers, points, sounds and series."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganframe.config.tensor_specs import TensorKind, TensorSpec
from ganframe.errors import BadInput
from ganframe.evaluation.plots import curves, histogram, scatter
from ganframe.files import write_atomically

GAP = 2
"""Pixels between the cells of a grid."""

MAX_CLASSES = 20
"""The largest number of classes for which a grid has one class in each column."""

NO_RATES: Mapping[str, int] = MappingProxyType({})
"""The sample rates of tensors none of which is a sound."""


def draw(
    tensors: Mapping[str, Tensor], path: Path, columns: int | None = None, sample_rates: Mapping[str, int] = NO_RATES
) -> None:
    """Save a picture of named tensors of one batch as a PNG file.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1], numbers `(B, 1)`, points `(B, 2)`, or sounds in [-1, 1] and series
            `(B, C, T)`. With several image tensors, the images of one example are side by side.
        path: The file, in an existing folder.
        columns: Number of images in a row of the grid. When None, it is chosen so that the picture is about square.
        sample_rates: Samples per second of the tensors that are sounds, by name.

    Raises:
        BadInput: When the tensors are neither all images, nor all numbers, all points, or all sounds or series.
        RunFailed: When the file cannot be written.
    """
    values = {name: tensor.detach().float().cpu() for name, tensor in tensors.items()}
    if not can_draw(values):
        shapes = ", ".join(f"{name} of shape {tuple(tensor.shape[1:])}" for name, tensor in values.items())
        remedy = "There are pictures of images, numbers, points in the plane, sounds and series."
        raise BadInput(f"there is no picture of {shapes}", remedy=remedy)
    match tensor_kind(next(iter(values.values()))):
        case "image":
            content = _png(grid(values, columns))
        case "number":
            content = histogram(values)
        case "points":
            content = scatter(values)
        case _:
            content = curves(values, sample_rates)
    write_atomically(path, content)


def can_draw(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether `draw` can make a picture of these tensors."""
    kinds = {tensor_kind(tensor) for tensor in tensors.values()}
    return (
        len(kinds) == 1 and kinds <= {"image", "number", "points", "series"} and all(map(torch.numel, tensors.values()))
    )


def tensor_kind(tensor: Tensor) -> TensorKind:
    """Return the kind of a batch of examples, judged by its shape alone, so that a sound counts as a series."""
    return TensorSpec(tuple(tensor.shape[1:])).kind


def grid(tensors: Mapping[str, Tensor], columns: int | None = None) -> Tensor:
    """Return images as one uint8 picture `(H, W, 3)`.

    An image of one channel is grey, and one of two channels is shown as two grey images side by side. The fourth of
    four channels is the opacity, and the image is shown over white. Of an image with more channels, the first three are
    shown as red, green and blue. Smaller images are enlarged to the size of the largest.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1]. With several tensors, the images of one example are side by side.
        columns: Number of images in a row. When None, it is chosen so that the picture is about square.
    """
    images = [image for tensor in tensors.values() for image in _as_rgb(tensor)]
    height, width = (max(image.shape[axis] for image in images) for axis in (2, 3))
    images = [image if image.shape[2:] == (height, width) else interpolate(image, (height, width)) for image in images]
    examples, per_example = len(images[0]), len(images)
    cells = rearrange(torch.stack(images), "tensor batch c h w -> (batch tensor) c h w")
    columns = columns or _default_columns(examples, per_example, height / width)
    pixels = ((cells.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    blank = torch.full((-len(pixels) % columns, *pixels.shape[1:]), 255, dtype=torch.uint8)
    padded = pad(torch.cat([pixels, blank]), (0, GAP, 0, GAP), value=255)
    return rearrange(padded, "(row column) c h w -> (row h) (column w) c", column=columns)


def label_columns(classes: int, count: int) -> int | None:
    """Return the number of columns of a grid with one class in each column; None if there are too many classes.

    Args:
        classes: Number of classes, which the images cycle through.
        count: Number of images.
    """
    if not 1 < classes <= min(MAX_CLASSES, count):
        return None
    return classes * max(1, round(math.sqrt(count) / classes))


def _as_rgb(images: Tensor) -> list[Tensor]:
    channels = images.shape[1]
    if channels == 4:
        opacity = (images[:, 3:].clamp(-1, 1) + 1) / 2
        return [torch.lerp(torch.ones(()), images[:, :3], opacity)]
    if channels > 2:
        return [images[:, :3]]
    return [images[:, [channel]].expand(-1, 3, -1, -1) for channel in range(channels)]


def _default_columns(examples: int, per_example: int, aspect: float) -> int:
    """Return the number of columns of a grid whose images are `aspect` times as high as wide."""
    if per_example > 1:
        return per_example * max(1, round(math.sqrt(examples * aspect / per_example)))
    if aspect == 1 and examples % 10 == 0 and 50 <= examples <= 200:
        return 10
    return min(examples, math.ceil(math.sqrt(examples * aspect)))


def _png(pixels: Tensor) -> bytes:
    height, width = pixels.shape[:2]
    # Small grids are enlarged, so that single pixels can be seen; wide ones less, so that they fit on a screen.
    factor = min(math.ceil(320 / height), max(4000 // width, 1))
    pixels = pixels.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.numpy())).save(stream, format="png", optimize=True)
    return stream.getvalue()
