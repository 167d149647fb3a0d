"""Reads image files of any size and mode as square uint8 images."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganframe.data import UnreadableLimit

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may take a file for, whatever its name says. It would start another program for some other formats."""


def check_headers(files: Iterable[Path], tolerance: UnreadableLimit) -> None:
    """Look at the start of each file, without decoding the pixels.

    Raises:
        BadInput: When more than may be are no images, or so large that they may be decompression bombs.
    """
    broken: list[Unreadable] = []
    for file in files:
        try:
            with _opened(file):
                pass
        except Unreadable as problem:
            broken.append(problem)
    if len(broken) > tolerance.most:
        listed = "; ".join(map(str, broken[:3])) + (f"; and {len(broken) - 3:,} more" if len(broken) > 3 else "")
        raise tolerance.exceeded(len(broken), listed)


class Unreadable(Exception):
    """An image file that cannot be read.

    Args:
        file: The file.
        reason: What is wrong with it.
    """

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(file, reason)

    def __str__(self) -> str:
        return f"{self.file} ({self.reason})"


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
            Unreadable: When the file is no image, is broken or truncated, or has a mode that no rule converts.
        """
        with _opened(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            flat = _flat(_centre(image) if self.crop else image, "L" if self.channels == 1 else "RGB")
            small = flat.resize((self.resolution, self.resolution), Image.Resampling.LANCZOS)
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
    # By way of RGB, the only way that Pillow knows from CMYK; without the copy that it makes of what is RGB already.
    colour = image if image.mode == "RGB" else image.convert("RGB")
    return colour if mode == "RGB" else colour.convert(mode)


@contextlib.contextmanager
def _opened(file: Path) -> Generator[Image.Image]:
    """Open an image; whatever goes wrong until it is closed is the file's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow says of odd files that it can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise Unreadable(file, f"the image has more than {limit} pixels and may be a decompression bomb") from None
    except Image.UnidentifiedImageError:
        reason = "this is no image that can be read" if file.stat().st_size else "this file is empty"
        raise Unreadable(file, reason) from None
    except OSError as problem:
        raise Unreadable(file, f"the image cannot be read: {problem.strerror or problem}") from None
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        raise Unreadable(file, f"the image cannot be read: {problem or type(problem).__name__}") from None
