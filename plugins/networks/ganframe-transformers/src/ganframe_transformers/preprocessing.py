"""Images as the `preprocessor_config.json` of a folder says, differentiable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganframe.game import BadInput

FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the filters that are possible."""


@dataclass(frozen=True)
class Preprocessing:
    """The preparation of images: a resize, a crop of the centre, and a normalisation of values in [0, 1].

    Attributes:
        shortest_edge: The length of the shorter side after the resize, in pixels; None for the other kind of resize.
        size: Height and width after the resize; None for the other kind of resize, or for none.
        mode: The filter of the resize, with antialiasing.
        crop: Height and width of the crop; None for no crop.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
    """

    shortest_edge: int | None
    size: tuple[int, int] | None
    mode: Literal["bilinear", "bicubic"]
    crop: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, sample: Tensor) -> Tensor:
        """Return images `(B, 3, H, W)` in [-1, 1] as the network takes them."""
        images = self._cropped(self._resized((sample + 1) / 2))
        mean, std = (torch.tensor(each, device=sample.device, dtype=sample.dtype) for each in (self.mean, self.std))
        return (images - mean[:, None, None]) / std[:, None, None]

    def _resized(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        size = self.size
        if self.shortest_edge is not None:
            short = min(height, width)
            size = (int(self.shortest_edge * height / short), int(self.shortest_edge * width / short))
        if size is None or size == (height, width):
            return images
        # Pillow stores bytes, so it cuts off what the bicubic filter overshoots.
        return interpolate(images, size, mode=self.mode, antialias=True).clamp(0, 1)

    def _cropped(self, images: Tensor) -> Tensor:
        if self.crop is None:
            return images
        missing = [max(wanted - side, 0) for wanted, side in zip(self.crop, images.shape[2:], strict=True)]
        (above, below), (left, right) = ((-(-each // 2), each // 2) for each in missing)
        images = pad(images, (left, right, above, below))
        (top, height), (start, width) = (
            ((side - wanted) // 2, wanted) for wanted, side in zip(self.crop, images.shape[2:], strict=True)
        )
        return images[:, :, top : top + height, start : start + width]


def read(folder: Path) -> Preprocessing:
    """Read the preprocessing of a folder.

    Raises:
        BadInput: When the file is missing, cannot be read, or asks for something else than a resize, a crop of the
            centre and a normalisation.
    """
    file = folder / "preprocessor_config.json"
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return _parse(settings)
    except FileNotFoundError:
        remedy = "It comes with the model, and says how images are resized and normalised."
        raise BadInput(f"there is no file {str(file)!r}", path=("path",), remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        message = f"{str(file)!r} is not a preprocessing that this encoder knows: {type(problem).__name__}: {problem}"
        remedy = "It knows a bilinear or bicubic resize, a crop of the centre, and a mean and deviation by channel."
        raise BadInput(message, path=("path",), remedy=remedy) from None


def _parse(settings: dict[str, Any]) -> Preprocessing:
    shortest_edge = size = crop = None
    mode: Literal["bilinear", "bicubic"] = "bilinear"
    if settings.get("do_resize", True):
        asked = settings["size"]
        if isinstance(asked, int):
            shortest_edge = asked
        elif "shortest_edge" in asked:
            shortest_edge = int(asked["shortest_edge"])
        else:
            size = int(asked["height"]), int(asked["width"])
        mode = FILTERS[settings.get("resample", 3)]
    if settings.get("do_center_crop", False):
        asked = settings["crop_size"]
        crop = (asked, asked) if isinstance(asked, int) else (int(asked["height"]), int(asked["width"]))
    if not (settings.get("do_rescale", True) and settings.get("do_normalize", True)):
        raise ValueError("`do_rescale` and `do_normalize` have to be true")
    mean, std = (tuple(float(each) for each in settings[key]) for key in ("image_mean", "image_std"))
    if (len(mean), len(std)) != (3, 3) or min(std) <= 0:
        raise ValueError("`image_mean` and `image_std` need three numbers, deviations above 0")
    return Preprocessing(shortest_edge, size, mode, crop, mean, std)
