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
    """Save a picture of named tensors of the same batch as a PNG.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1] with C of 1 or 3, or points `(B, 2)`. Several image tensors stand
            side by side, an example a row.
        path: The file, in a folder that there is.
        columns: Cells in a row of a grid; about as many as rows when None.

    Raises:
        BadInput: When a tensor is neither.
    """
    values = {name: each.detach().float().cpu() for name, each in tensors.items()}
    if not drawable(values):
        raise _undrawable(values)
    images = next(iter(values.values())).ndim == 4
    write_atomically(path, _png(grid(values, columns)) if images else _scatter(values))


def _undrawable(tensors: Mapping[str, Tensor]) -> BadInput:
    shapes = ", ".join(f"{name} of shape {tuple(each.shape[1:])}" for name, each in tensors.items())
    remedy = "What can be drawn: images with 1 or 3 channels, and points in the plane."
    return BadInput(f"there is no picture of {shapes}", remedy=remedy)


def drawable(tensors: Mapping[str, Tensor]) -> bool:
    """Whether `draw` can make a picture of these tensors."""
    images = all(each.ndim == 4 and each.shape[1] in (1, 3) for each in tensors.values())
    points = all(each.ndim == 2 and each.shape[1] == 2 for each in tensors.values())
    return bool(tensors) and (images or points)


def grid(tensors: Mapping[str, Tensor], columns: int | None = None) -> Tensor:
    """Images as one uint8 picture `(H, W, 3)`.

    Args:
        tensors: Images `(B, C, H, W)` in [-1, 1]. Of several tensors, the cells of an example stand side by side.
        columns: Cells in a row; about as many as rows when None.
    """
    images = [each.expand(-1, 3, -1, -1) if each.shape[1] == 1 else each for each in tensors.values()]
    examples, beside = len(images[0]), len(images)
    cells = rearrange(torch.stack(images), "tensor batch c h w -> (batch tensor) c h w")
    columns = columns or (_columns(examples) if beside == 1 else beside * max(1, round(math.sqrt(examples / beside))))
    pixels = ((cells.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    blank = torch.full((-len(pixels) % columns, *pixels.shape[1:]), 255, dtype=torch.uint8)
    padded = torch.nn.functional.pad(torch.cat([pixels, blank]), (0, GAP, 0, GAP), value=255)
    return rearrange(padded, "(row column) c h w -> (row h) (column w) c", column=columns)


def _columns(count: int) -> int:
    return 10 if count % 10 == 0 and 50 <= count <= 200 else math.ceil(math.sqrt(count))


def _png(pixels: Tensor) -> bytes:
    height = pixels.shape[0]
    if height < 320:  # small grids are drawn larger, so that the pixels can be told apart
        factor = math.ceil(320 / height)
        pixels = pixels.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.numpy())).save(stream, format="png", optimize=True)
    return stream.getvalue()


def _scatter(tensors: Mapping[str, Tensor]) -> bytes:
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to import, and images do not need it

    figure = Figure(figsize=(5, 5), dpi=100)
    axes = figure.add_subplot(aspect="equal")
    for (name, points), colour in zip(tensors.items(), ("tab:gray", "tab:red", "tab:blue", "tab:green"), strict=False):
        axes.scatter(*points.T.tolist(), s=4, alpha=0.5, label=name, color=colour, linewidths=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(tensors))
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def draw_each(images: Tensor, folder: Path, labels: Sequence[int] | None = None) -> None:
    """Save images one by one, as an image folder that can be trained on.

    Args:
        images: `(B, C, H, W)` in [-1, 1] with C of 1 or 3.
        folder: Where the PNGs go; with labels, into a folder for each class.
        labels: The class of each image.

    Raises:
        BadInput: When these are no images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise _undrawable({"samples": images})
    for index, image in enumerate(images):
        inside = folder if labels is None else folder / str(labels[index])
        inside.mkdir(parents=True, exist_ok=True)
        pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        shown = pixels[0] if len(pixels) == 1 else rearrange(pixels, "c h w -> h w c")
        Image.fromarray(np.ascontiguousarray(shown.numpy())).save(inside / f"{index:06d}.png")
