"""Translation of image files by a trained run, without its training data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganframe.config.arguments import as_path, check_whole_number
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.image_files import ImageReader, UnreadableImage
from ganframe.data.image_folders import list_images
from ganframe.data.summary import DataSummary, LeftOut
from ganframe.data.tensor_data import as_float
from ganframe.distributed.notices import print_notice
from ganframe.errors import BadInput
from ganframe.evaluation.loaded_run import LoadedRun
from ganframe.evaluation.sample_files import save_image


def translate(
    loaded: LoadedRun,
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    label: int | str | None = None,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Save the translation of an image, or of each image of a folder, under the same name, as a PNG file.

    Translations of another number of channels than 1, 3 or 4 are `.npy` files.

    An image is cut to the proportions of the training images and scaled to their size. What is no image and what cannot
    be read is named and left out.

    Args:
        loaded: The run, of a game with `translations`.
        source: An image file, or a folder with images, in it or in subfolders.
        target: The folder of the translations.
        to: Name of the tensor that is the translation; the game's first translation when None.
        label: Number or name of the class to translate to, in a game whose translations are made for a label.
        seed: The seed of all random draws.
        batch_size: Number of images in one forward pass.
        progress: Called after each batch with the number of images that are done, and that of all images.

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
    files, folder = _find_images(source)
    names = _names_of_translations([file.relative_to(folder) for file in files])
    count = 0
    for batch in _batches(_read_all(files, spec), batch_size):
        images = torch.stack([image for _, image in batch])
        labels = None if label is None else [label] * len(batch)
        made = loaded.tensors(len(batch), (output,), seed=seed, labels=labels, inputs={name: images})[output]
        for (file, _), image in zip(batch, made, strict=True):
            save_image(image, target / names[file.relative_to(folder)])
        count += len(batch)
        progress(count, len(files))
    if count == 0:
        raise BadInput("no image can be read here", place=str(source))
    return count


def _find_images(source: Path) -> tuple[Sequence[Path], Path]:
    """Return the image files, and the folder that their names are taken from."""
    if source.is_file():
        return [source], source.parent
    listing = list_images(source)
    left_out = {reason: LeftOut.of(names) for reason, names in listing.left_out.items()}
    for title, names in DataSummary(len(listing.images), left_out).left_out_lines():
        print_notice(title, names)
    return listing.images, source


def _names_of_translations(files: Sequence[Path]) -> dict[Path, Path]:
    """Return the name of the translation of each file: with `.png` in place of its suffix.

    In a folder with two files such as `1.png` and `1.jpg`, all files keep their whole names before the `.png`.
    """
    by_folder: dict[Path, list[Path]] = {}
    for file in files:
        by_folder.setdefault(file.parent, []).append(file)
    names: dict[Path, Path] = {}
    for each in by_folder.values():
        clash = len({file.stem for file in each}) < len(each)
        names |= {file: file.with_name(f"{file.name if clash else file.stem}.png") for file in each}
    return names


def _choose_pair(loaded: LoadedRun, to: str | None) -> tuple[str, str]:
    pairs = loaded.game.translations
    chosen = [pair for pair in pairs if to is None or pair[1] == to]
    if not pairs:
        raise BadInput("the game of this run translates nothing", place=str(loaded.folder.path))
    if not chosen:
        raise BadInput(f"the game has no translation {to!r}", remedy=f"It has: {', '.join(out for _, out in pairs)}.")
    spec = loaded.game.data[chosen[0][0]]
    if spec.kind != "image":
        raise BadInput(f"only images are translated, but this run translates {spec}")
    return chosen[0]


def _read_all(files: Iterable[Path], spec: TensorSpec) -> Iterator[tuple[Path, Tensor]]:
    """Yield each file that can be read, with its image `(C, H, W)` in [-1, 1]."""
    channels, height, width = spec.shape
    reader = ImageReader((height, width), channels, crop=True)
    for file in files:
        try:
            yield file, as_float(torch.from_numpy(reader.read(file)))
        except UnreadableImage as problem:
            print_notice("left out", f"{problem.file}: {problem.reason}")


def _batches(images: Iterator[tuple[Path, Tensor]], size: int) -> Iterator[list[tuple[Path, Tensor]]]:
    while batch := list(itertools.islice(images, size)):
        yield batch
