"""Named tensors as pictures: images in a grid, points in the plane as a scatter plot."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from ganframe.errors import BadInput
from ganframe.files import write_atomically

GAP = 2
"""Pixels between the cells of a grid."""


def draw(tensors: Mapping[str, Tensor], path: Path, columns: int | None = None) -> None:
    """Save a picture of named tensors of one batch as a PNG file.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1] with C of 1 or 3, or points `(B, 2)`. With several image tensors, the
            images of one example are side by side.
        path: The file, in an existing folder.
        columns: Number of images in a row of the grid; about as many columns as rows when None.

    Raises:
        BadInput: When the tensors are neither all images nor all points of these shapes.
        RunFailed: When the file cannot be written.
    """
    values = {name: tensor.detach().float().cpu() for name, tensor in tensors.items()}
    if not can_draw(values):
        raise _cannot_draw(values)
    images = next(iter(values.values())).ndim == 4
    write_atomically(path, _png(grid(values, columns)) if images else _scatter(values))


def _cannot_draw(tensors: Mapping[str, Tensor]) -> BadInput:
    shapes = ", ".join(f"{name} of shape {tuple(tensor.shape[1:])}" for name, tensor in tensors.items())
    remedy = "Draw images with 1 or 3 channels, or points in the plane."
    return BadInput(f"there is no picture of {shapes}", remedy=remedy)


def can_draw(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether `draw` can make a picture of these tensors."""
    images = all(tensor.ndim == 4 and tensor.shape[1] in (1, 3) for tensor in tensors.values())
    points = all(tensor.ndim == 2 and tensor.shape[1] == 2 for tensor in tensors.values())
    return bool(tensors) and (images or points)


def grid(tensors: Mapping[str, Tensor], columns: int | None = None) -> Tensor:
    """Return images as one uint8 picture `(H, W, 3)`.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1] with C of 1 or 3. With several tensors, the images of one example are
            side by side.
        columns: Number of images in a row; about as many columns as rows when None.
    """
    images = [image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image for image in tensors.values()]
    examples, per_example = len(images[0]), len(images)
    cells = rearrange(torch.stack(images), "tensor batch c h w -> (batch tensor) c h w")
    columns = columns or _default_columns(examples, per_example)
    pixels = ((cells.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    blank = torch.full((-len(pixels) % columns, *pixels.shape[1:]), 255, dtype=torch.uint8)
    padded = torch.nn.functional.pad(torch.cat([pixels, blank]), (0, GAP, 0, GAP), value=255)
    return rearrange(padded, "(row column) c h w -> (row h) (column w) c", column=columns)


def _default_columns(examples: int, per_example: int) -> int:
    if per_example > 1:
        return per_example * max(1, round(math.sqrt(examples / per_example)))
    return 10 if examples % 10 == 0 and 50 <= examples <= 200 else math.ceil(math.sqrt(examples))


def _png(pixels: Tensor) -> bytes:
    height = pixels.shape[0]
    if height < 320:  # small grids are enlarged, so that single pixels can be seen
        factor = math.ceil(320 / height)
        pixels = pixels.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.numpy())).save(stream, format="png", optimize=True)
    return stream.getvalue()


def _scatter(tensors: Mapping[str, Tensor]) -> bytes:
    from matplotlib.figure import Figure  # slow to import, and images do not need it

    figure = Figure(figsize=(5, 5), dpi=100)
    axes = figure.add_subplot(aspect="equal")
    for (name, points), colour in zip(tensors.items(), ("tab:gray", "tab:red", "tab:blue", "tab:green"), strict=False):
        axes.scatter(*points.T.tolist(), s=4, alpha=0.5, label=name, color=colour, linewidths=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(tensors))
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def save_images(images: Tensor, folder: Path, labels: Sequence[int] | None = None) -> None:
    """Save each image as a PNG file of its own. The result is an image folder that a run can train on.

    Args:
        images: `(B, C, H, W)` in [-1, 1] with C of 1 or 3.
        folder: The folder of the files; with labels, each class has a folder inside it.
        labels: The class of each image.

    Raises:
        BadInput: When `images` has another shape.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise _cannot_draw({"samples": images})
    for index, image in enumerate(images):
        target = folder if labels is None else folder / str(labels[index])
        target.mkdir(parents=True, exist_ok=True)
        pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        picture = pixels[0] if len(pixels) == 1 else rearrange(pixels, "c h w -> h w c")
        Image.fromarray(np.ascontiguousarray(picture.numpy())).save(target / f"{index:06d}.png")
