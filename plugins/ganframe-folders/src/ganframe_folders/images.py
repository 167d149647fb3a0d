"""Reads image files of any size and mode as square uint8 images."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganframe.errors import BadInput


def check_headers(files: Iterable[Path]) -> None:
    """Look at the start of each file, without decoding the pixels.

    Raises:
        BadInput: When a file is no image, or one so large that it may be a decompression bomb.
    """
    for file in files:
        with _opened(file):
            pass


@dataclass(frozen=True)
class Reader:
    """How an image file becomes pixels.

    Attributes:
        resolution: Side of the result.
        channels: 1 for grey, 3 for RGB.
        crop: Whether to cut the largest centred square; the whole image is squeezed otherwise.
    """

    resolution: int
    channels: int
    crop: bool

    def read(self, file: Path) -> np.ndarray:
        """The image of a file, uint8 `(channels, resolution, resolution)`.

        It is turned the way that its EXIF data says. Transparent parts become white, 16-bit grey is divided by 257,
        and every other mode (palette, CMYK, ...) is converted to RGB or grey.

        Raises:
            BadInput: When the file is no image, is broken or truncated, or has a mode that no rule converts.
        """
        with _opened(file) as image:
            upright = ImageOps.exif_transpose(image)
            flat = _flat(upright, "L" if self.channels == 1 else "RGB")
            side = (self.resolution, self.resolution)
            small = (_centre(flat) if self.crop else flat).resize(side, Image.Resampling.LANCZOS)
        pixels = np.asarray(small)
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _centre(image: Image.Image) -> Image.Image:
    """The largest square in the middle."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """The image in 8 bits, without transparency."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").convert(mode)


@contextlib.contextmanager
def _opened(file: Path) -> Generator[Image.Image]:
    """Open an image; whatever goes wrong until it is closed is the file's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened as image:
            yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        message = f"the image has more than {limit} pixels and may be a decompression bomb"
        raise BadInput(message, place=str(file), remedy="Make it smaller, or remove it.") from None
    except Image.UnidentifiedImageError:
        remedy = "Replace or remove it."
        raise BadInput("this is no image that can be read", place=str(file), remedy=remedy) from None
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        message = f"the image cannot be read: {problem}"
        raise BadInput(message, place=str(file), remedy="Replace or remove it.") from None
