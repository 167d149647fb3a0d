"""Translation of the images of a folder by a trained run, without its training data."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ganframe.arguments import as_path, check_whole_number
from ganframe.config.tensor_specs import TensorSpec
from ganframe.distributed.notices import print_notice
from ganframe.errors import BadInput
from ganframe.evaluation.loaded_run import LoadedRun
from ganframe.evaluation.sample_files import save_image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of image files, in either case."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that Pillow may recognise, whatever the suffix. For some others it would start another program."""


def translate(
    loaded: LoadedRun,
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    label: int | str | None = None,
    seed: int = 0,
    batch_size: int = 16,
) -> int:
    """Save the translation of each image of a folder under the same name, as a PNG file.

    An image is cut to the proportions of the training images and scaled to their size. A file that cannot be read is
    named and left out.

    Args:
        loaded: The run, of a game with `translations`.
        source: The folder with the images, in it or in subfolders.
        target: The folder of the translations.
        to: Name of the tensor that is the translation; the game's first translation when None.
        label: Number or name of the class to translate to, in a game whose translations are made for a label.
        seed: The seed of all random draws.
        batch_size: Number of images in one forward pass.

    Returns:
        The number of images that were translated.

    Raises:
        BadInput: When the game does not translate images, has no such translation or label, or no image can be read.
        RunFailed: When a file cannot be written.
    """
    source, target = as_path("source", source), as_path("target", target)
    check_whole_number("batch_size", batch_size)
    if batch_size < 1:
        raise BadInput(f"a batch of {batch_size} images cannot be translated")
    name, output = _choose_pair(loaded, to)
    spec = loaded.game.data[name]
    files = _find_images(source)
    stems = Counter(file.relative_to(source).with_suffix("") for file in files)
    count = 0
    for batch in _batches(_read_all(files, spec), batch_size):
        images = torch.stack([image for _, image in batch])
        labels = None if label is None else [label] * len(batch)
        made = loaded.tensors(len(batch), (output,), seed=seed, labels=labels, inputs={name: images})[output]
        for (file, _), image in zip(batch, made, strict=True):
            relative = file.relative_to(source)
            # Two files such as 1.png and 1.jpg keep their whole names.
            unique = stems[relative.with_suffix("")] == 1
            path = target / (relative.with_suffix(".png") if unique else relative.with_name(f"{relative.name}.png"))
            save_image(image, path)
        count += len(batch)
    if count == 0:
        raise BadInput("no image of this folder can be read", place=str(source))
    return count


def _choose_pair(loaded: LoadedRun, to: str | None) -> tuple[str, str]:
    pairs = loaded.game.translations
    chosen = [pair for pair in pairs if to is None or pair[1] == to]
    if not pairs:
        raise BadInput("the game of this run translates nothing", place=str(loaded.folder.path))
    if not chosen:
        raise BadInput(f"the game has no translation {to!r}", remedy=f"It has: {', '.join(out for _, out in pairs)}.")
    spec = loaded.game.data[chosen[0][0]]
    if spec.kind != "image" or spec.shape[0] not in (1, 3):
        raise BadInput(f"image files have 1 or 3 channels, but this run translates {spec}")
    return chosen[0]


def _find_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadInput("there is no such folder", place=str(folder))
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not visible:
        remedy = f"Images are files that end in {', '.join(SUFFIXES)}."
        raise BadInput("there are no images in this folder", place=str(folder), remedy=remedy)
    return visible


def _read_all(files: Iterable[Path], spec: TensorSpec) -> Iterator[tuple[Path, Tensor]]:
    """Yield each file that can be read, with its image."""
    for file in files:
        try:
            yield file, read_image(file, spec)
        except BadInput as problem:
            print_notice("left out", f"{problem.place}: {problem.message}")


def _batches(images: Iterator[tuple[Path, Tensor]], size: int) -> Iterator[list[tuple[Path, Tensor]]]:
    while batch := list(itertools.islice(images, size)):
        yield batch


def read_image(file: Path, spec: TensorSpec) -> Tensor:
    """Return the image of a file, `(C, H, W)` in [-1, 1].

    The image is rotated as its EXIF data says; transparent parts become white.

    Args:
        file: The file.
        spec: The spec of the image, of 1 or 3 channels. The image is cut to the proportions of the spec, around the
            middle.

    Raises:
        BadInput: When the file is no image, or may be a decompression bomb.
    """
    channels, height, width = spec.shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd files that Pillow can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                ImageOps.exif_transpose(image, in_place=True)
                flat = _on_white(image).convert("L" if channels == 1 else "RGB")
                pixels = np.array(ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS))
    except Exception as problem:  # Pillow's decoders raise errors of many kinds
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        raise BadInput(f"the image cannot be read: {reason}", place=str(file)) from None
    return torch.from_numpy(pixels).reshape(height, width, channels).movedim(2, 0).float() / 127.5 - 1


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut to 255
        grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        return Image.fromarray(grey.round().astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
