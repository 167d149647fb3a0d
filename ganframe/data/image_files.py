"""Image files of any size, format and mode as uint8 images of one size."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

from ganframe.data.unreadable_files import UnreadableLimit

_AVIF = ("AVIF",) if features.check("avif") else ()  # Pillow may have been built without it

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *_AVIF)
"""Formats that Pillow may recognise, whatever the suffix. For some others it would start another program."""


def check_image_headers(files: Iterable[Path], limit: UnreadableLimit) -> list[UnreadableImage]:
    """Check the header of each file, without decoding the pixels.

    Args:
        files: The files.
        limit: The number of files that may be unreadable.

    Returns:
        The files that cannot be read.

    Raises:
        BadInput: When these are more than the limit allows.
    """
    broken: list[UnreadableImage] = []
    for file in files:
        try:
            with _opened(file):
                pass
        except UnreadableImage as problem:
            broken.append(problem)
    if len(broken) > limit.max_files:
        listed = "; ".join(map(str, broken[:3])) + (f"; and {len(broken) - 3:,} more" if len(broken) > 3 else "")
        raise limit.error(len(broken), listed)
    return broken


class UnreadableImage(Exception):
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
class ImageReader:
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

        Args:
            file: The file.

        Raises:
            UnreadableImage: When the file is not an image, is broken or truncated, or has pixels whose range is
                unknown: of floating point, of 32 bits, or of 16 bits that are all below 256.
        """
        with _opened(file) as image:
            _check_sixteen_bits(image)
            ImageOps.exif_transpose(image, in_place=True)
            part = _centre(image, self.size) if self.crop else image
            height, width = self.size
            small = _flat(part, "L" if self.channels == 1 else "RGB").resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.array(small)  # not `asarray`, whose result is read-only
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the largest part in the middle that has the proportions of `size`, a height and a width."""
    (width, height), (target_height, target_width) = image.size, size
    kept_width = min(width, max(1, height * target_width // target_height))
    kept_height = min(height, max(1, width * target_height // target_width))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))


def _check_mode(image: Image.Image) -> None:
    """Refuse pixels whose range the file does not tell: what they are divided by would be a guess."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save the image with 8 or 16 bits")
    if image.mode == "I" and image.format == "TIFF":
        raise ValueError("pixels of 32 bits or with a sign have no known range; save the image with 8 or 16 bits")


def _check_sixteen_bits(image: Image.Image) -> None:
    """Refuse an image whose values are those of 8 bits in 16: it would come out black."""
    if image.mode.startswith("I") and 0 < np.asarray(image).max() < 256:
        raise ValueError("its pixels of 16 bits are all below 256, which is black; save the image with 8 bits")


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in 8 bits, without transparency."""
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
                _check_mode(image)
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise UnreadableImage(file, f"the image has more than {limit} pixels and may be a decompression bomb") from None
    except Image.UnidentifiedImageError:
        reason = "this is not a readable image" if file.stat().st_size else "this file is empty"
        raise UnreadableImage(file, reason) from None
    except OSError as problem:
        raise UnreadableImage(file, f"the image cannot be read: {problem.strerror or problem}") from None
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        raise UnreadableImage(file, f"the image cannot be read: {problem or type(problem).__name__}") from None
