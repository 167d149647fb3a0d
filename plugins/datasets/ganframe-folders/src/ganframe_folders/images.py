"""Reading image files of any size and mode as uint8 images of one size."""

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
"""Formats that Pillow may recognise, whatever the suffix. For some others it would start another program."""


def check_headers(files: Iterable[Path], limit: UnreadableLimit) -> None:
    """Check the header of each file, without decoding the pixels.

    Raises:
        BadInput: When more files than the limit allows are either not images or possible decompression bombs.
    """
    broken: list[Unreadable] = []
    for file in files:
        try:
            with _opened(file):
                pass
        except Unreadable as problem:
            broken.append(problem)
    if len(broken) > limit.max_files:
        listed = "; ".join(map(str, broken[:3])) + (f"; and {len(broken) - 3:,} more" if len(broken) > 3 else "")
        raise limit.error(len(broken), listed)


class Unreadable(Exception):
    """An image file that cannot be read.

    Args:
        file: The file.
        reason: What is wrong with the file.
    """

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(file, reason)

    def __str__(self) -> str:
        return f"{self.file} ({self.reason})"


@dataclass(frozen=True)
class Reader:
    """Converts image files to pixels.

    Attributes:
        size: Height and width of the result.
        channels: 1 for grey, 3 for RGB.
        crop: Whether to cut out the largest centred part with the proportions of the result, instead of squeezing the
            whole image.
    """

    size: tuple[int, int]
    channels: int
    crop: bool

    def read(self, file: Path) -> np.ndarray:
        """Return the image of a file, uint8 `(channels, height, width)`.

        The image is rotated as its EXIF data says. Transparent parts become white, 16-bit grey is divided by 257, and
        every other mode (palette, CMYK, ...) is converted to RGB or grey.

        Raises:
            Unreadable: When the file is not an image, is broken or truncated, or has a mode that cannot be converted.
        """
        with _opened(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            part = _centre(image, self.size) if self.crop else image
            height, width = self.size
            small = _flat(part, "L" if self.channels == 1 else "RGB").resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(small)
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the largest part in the middle that has the proportions of `size`, a height and a width."""
    (width, height), (target_height, target_width) = image.size, size
    kept_width = min(width, max(1, height * target_width // target_height))
    kept_height = min(height, max(1, width * target_height // target_width))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in 8 bits, without transparency."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save the image with 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    # Through RGB, the only conversion that Pillow has from CMYK; an RGB image is not copied.
    colour = image if image.mode == "RGB" else image.convert("RGB")
    return colour if mode == "RGB" else colour.convert(mode)


@contextlib.contextmanager
def _opened(file: Path) -> Generator[Image.Image]:
    """Open an image; inside the `with` block, any error is reported as an error of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd files that Pillow can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise Unreadable(file, f"the image has more than {limit} pixels and may be a decompression bomb") from None
    except Image.UnidentifiedImageError:
        reason = "this is not a readable image" if file.stat().st_size else "this file is empty"
        raise Unreadable(file, reason) from None
    except OSError as problem:
        raise Unreadable(file, f"the image cannot be read: {problem.strerror or problem}") from None
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        raise Unreadable(file, f"the image cannot be read: {problem or type(problem).__name__}") from None
