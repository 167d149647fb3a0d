"""Images of any size, format and mode as uint8 images of one size."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, features

from ganframe.data.unreadable_files import UnreadableLimit

_AVIF = ("AVIF",) if features.check("avif") else ()  # Pillow may have been built without it

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *_AVIF)
"""Formats that Pillow may recognise, whatever the suffix. For some others it would start another program."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode of an image, by its number of channels."""

MAX_CHANNELS = 1024
"""The largest number of channels of an array."""

Picture = Image.Image | np.ndarray
"""An image as it is stored, before it is converted: of a file, or an array `(H, W)` or `(H, W, C)` in uint8."""


def check_image_headers(
    images: Iterable[contextlib.AbstractContextManager[Picture]], limit: UnreadableLimit
) -> list[UnreadableImage]:
    """Check the header of each image, without decoding the pixels.

    Args:
        images: The images, as `open_picture` opens them.
        limit: The number of files that may be unreadable.

    Returns:
        The files that cannot be read.

    Raises:
        BadInput: When these are more than the limit allows.
    """
    broken: list[UnreadableImage] = []
    for image in images:
        try:
            with image:
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
        file: The file, as messages name it.
        reason: What is wrong with the file.
    """

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(file, reason)

    def __str__(self) -> str:
        return f"{self.file} ({self.reason})"


@dataclass(frozen=True)
class ImageReader:
    """Converts images to pixels.

    An image file is rotated as its EXIF data says. With 1 or 3 channels, transparent parts become white; with 4, the
    last channel is the opacity, from 0 to 255. 16-bit grey is divided by 257, and every other mode (palette, CMYK, ...)
    is converted. Images are resized with a Lanczos filter, in which transparent pixels count for nothing. The channels
    of an array are resized one by one.

    Attributes:
        size: Height and width of the result.
        channels: 1 for grey, 3 for RGB, 4 for RGB with transparency; any number for arrays.
        crop: Whether to cut out the largest centred part with the proportions of the result, instead of squeezing the
            whole image.
    """

    size: tuple[int, int]
    channels: int
    crop: bool

    def read(self, file: Path) -> np.ndarray:
        """Return the image of a file, uint8 `(channels, height, width)`.

        Args:
            file: The file.

        Raises:
            UnreadableImage: When the file is not an image, is broken or truncated, or has pixels whose range is
                unknown: of floating point, of 32 bits, or of 16 bits that are all below 256. When it is an array that
                is not uint8 `(H, W)` or `(H, W, channels)`.
        """
        with open_picture(partial(file.open, "rb"), str(file)) as picture:
            return self.convert(picture)

    def convert(self, picture: Picture) -> np.ndarray:
        """Return an image as uint8 `(channels, height, width)`.

        Raises:
            ValueError: When its pixels cannot be converted.
        """
        return self._fitted(_upright(picture))

    def convert_halves(self, picture: Picture) -> np.ndarray:
        """Return the left and the right half of an image as uint8 `(2, channels, height, width)`.

        Of an odd width, the column in the middle is left out.

        Raises:
            ValueError: When the image is narrower than two pixels, or its pixels cannot be converted.
        """
        picture = _upright(picture)
        height, width = _sides(picture)
        half = width // 2
        if half == 0:
            raise ValueError("an image of one column has no two halves")
        boxes = ((0, 0, half, height), (width - half, 0, width, height))
        return np.stack([self._fitted(_part(picture, box)) for box in boxes])

    def _fitted(self, picture: Picture) -> np.ndarray:
        """Cut, convert and resize an image that stands upright."""
        part = _part(picture, _centre(_sides(picture), self.size)) if self.crop else picture
        height, width = self.size
        if isinstance(part, np.ndarray):
            if part.shape[2] != self.channels:
                raise ValueError(f"the array has {part.shape[2]} channels, and `channels` is {self.channels}")
            bands = [Image.fromarray(np.ascontiguousarray(part[:, :, band])) for band in range(self.channels)]
            return np.stack([np.asarray(band.resize((width, height), Image.Resampling.LANCZOS)) for band in bands])
        mode = MODES.get(self.channels)
        if mode is None:
            raise ValueError(f"image files give 1, 3 or 4 channels; `channels: {self.channels}` needs .npy files")
        small = _flat(part, mode).resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.array(small)  # not `asarray`, whose result is read-only
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


Box = tuple[int, int, int, int]
"""A part of an image: left, top, right, bottom."""


def _sides(picture: Picture) -> tuple[int, int]:
    """Return the height and width of an image."""
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    return height, width


def _part(picture: Picture, box: Box) -> Picture:
    left, top, right, bottom = box
    return picture[top:bottom, left:right] if isinstance(picture, np.ndarray) else picture.crop(box)


def _centre(sides: tuple[int, int], target: tuple[int, int]) -> Box:
    """Return the largest part in the middle that has the proportions of `target`; both are a height and a width."""
    (height, width), (target_height, target_width) = sides, target
    kept_width = min(width, max(1, height * target_width // target_height))
    kept_height = min(height, max(1, width * target_height // target_width))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return left, top, left + kept_width, top + kept_height


def _upright(picture: Picture) -> Picture:
    """Return an array as `(H, W, C)`; rotate an image as its EXIF data says."""
    if isinstance(picture, np.ndarray):
        return picture.reshape(*picture.shape[:2], -1)
    _check_sixteen_bits(picture)
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


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
    """Return the image in 8 bits: grey or RGB over white, or RGBA."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if mode == "RGBA":
            return image
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    # Through RGB, the only conversion that Pillow has from CMYK; an RGB image is not copied.
    colour = image if image.mode == "RGB" else image.convert("RGB")
    return colour if mode == "RGB" else colour.convert(mode)


@contextlib.contextmanager
def open_picture(open_file: Callable[[], IO[bytes]], name: str) -> Generator[Picture]:
    """Open an image file or a `.npy` array; inside the `with` block, any error is reported as an error of the file.

    Args:
        open_file: Opens the file, which has to be seekable.
        name: The file, as messages name it.

    Raises:
        UnreadableImage: When the file cannot be opened, is no image, or the block raises any error.
    """
    try:
        with warnings.catch_warnings(), open_file() as file:
            warnings.simplefilter("ignore")  # about odd files that Pillow can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            start = file.read(len(np.lib.format.MAGIC_PREFIX))
            file.seek(0)
            if not start:
                raise UnreadableImage(name, "this file is empty")
            if start == np.lib.format.MAGIC_PREFIX:
                yield _read_array(file)
                return
            with Image.open(file, formats=FORMATS) as image:
                _check_mode(image)
                yield image
    except UnreadableImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise UnreadableImage(name, f"the image has more than {limit} pixels and may be a decompression bomb") from None
    except Image.UnidentifiedImageError:
        raise UnreadableImage(name, "this is not a readable image") from None
    except OSError as problem:
        raise UnreadableImage(name, f"the image cannot be read: {problem.strerror or problem}") from None
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        raise UnreadableImage(name, f"the image cannot be read: {problem or type(problem).__name__}") from None


def _read_array(file: IO[bytes]) -> np.ndarray:
    """Return the uint8 array `(H, W)` or `(H, W, C)` of a `.npy` file, without reading any object in it.

    Raises:
        ValueError: When it is another array, is too large, or is cut off.
    """
    read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    major, _ = np.lib.format.read_magic(file)
    if major not in read_header:
        raise ValueError(f"arrays of the format {major} are not read")
    shape, by_column, dtype = read_header[major](file)
    check_array(shape, dtype)
    data = file.read(math.prod(shape))
    if len(data) < math.prod(shape):
        raise ValueError("the array is cut off")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_column else "C")


def check_array(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an array that is not an image of uint8 `(H, W)` or `(H, W, C)`.

    Raises:
        ValueError: When it is another array, or has too many pixels or channels.
    """
    if dtype != np.uint8 or len(shape) not in (2, 3) or 0 in shape:
        axes = ", ".join(map(str, shape))
        raise ValueError(
            f"the array is {dtype} ({axes}); save it as uint8 (height, width) or (height, width, channels)"
        )
    if len(shape) == 3 and shape[2] > MAX_CHANNELS:
        raise ValueError(
            f"the array has {shape[2]:,} channels, which are its last axis, and at most {MAX_CHANNELS} fit"
        )
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and math.prod(shape) > 4 * limit:
        raise ValueError(f"the array has {math.prod(shape):,} numbers, and at most {4 * limit:,} are read")
