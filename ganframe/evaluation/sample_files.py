"""Samples as files: one for each sample, in a folder, or all in one file."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from einops import rearrange
from PIL import Image
from torch import Tensor, uint8

from ganframe.config.tensor_specs import TensorSpec
from ganframe.errors import writing
from ganframe.evaluation.pictures import tensor_kind
from ganframe.evaluation.sound import wav_file

PNG_CHANNELS = (1, 3, 4)
"""The numbers of channels of images that are saved as PNG files: grey, RGB and RGB with transparency."""


def _numbered(index: int, _folder: str, _content: bytes) -> str:
    return f"{index:06d}"


def save_samples(
    batches: Iterable[Tensor],
    folder: Path,
    *,
    labels: Sequence[int] | None = None,
    label_spec: TensorSpec | None = None,
    sample_rate: int | None = None,
    folders: Mapping[int, str] | None = None,
    stem: Callable[[int, str, bytes], str] = _numbered,
) -> None:
    """Save each sample as a file of its own. Images make an image folder that a run can train on.

    Images `(C, H, W)` of 1, 3 or 4 channels are `.png` files, and other images `.npy` files, uint8 `(H, W, C)`. Sounds
    are `.wav` files, and all other samples `.npz` files with one array `sample`.

    Args:
        batches: The samples, as batches `(B, ...)`, of which one at a time is kept; images and sounds in [-1, 1].
        folder: The folder of the files; with labels, each class has a subfolder.
        labels: The class of each sample; None if samples have no classes.
        label_spec: The spec of the label, whose class names become the names of folders, as `folder_names` gives them.
        sample_rate: Samples per second of a sound; None if the samples are no sounds.
        folders: In place of `label_spec`: the name of the folder of each class.
        stem: Returns the name of a file without the suffix, by the number of the sample, the name of its folder (empty
            without labels) and its content.

    Raises:
        RunFailed: When a file cannot be written.
    """
    names = folders or {}
    if labels is not None and folders is None:
        names = folder_names(labels, label_spec or TensorSpec((), max(labels) + 1))
    for index, sample in enumerate(chain.from_iterable(batches)):
        name = "" if labels is None else names[labels[index]]
        target = folder / name
        suffix, content = _encoded(sample, sample_rate)
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{stem(index, name, content)}{suffix}").write_bytes(content)


def save_image(image: Tensor, path: Path) -> None:
    """Save an image `(C, H, W)` in [-1, 1], and make its folder.

    Args:
        image: The image.
        path: The PNG file. An image of another number of channels than 1, 3 or 4 is saved beside it, as a `.npy` file.

    Raises:
        RunFailed: When the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix, content = _encoded_image(image)
        path.with_suffix(suffix).write_bytes(content)


def folder_names(labels: Sequence[int], spec: TensorSpec) -> dict[int, str]:
    """Return the folder name of each class: the class's name, without what a file system may refuse."""
    names: dict[int, str] = {}
    for label in sorted(set(labels)):
        safe = re.sub(r'[/\\:*?"<>|]', "-", spec.class_name(label)).lstrip(".").rstrip(". ")
        safe = safe.encode()[:200].decode(errors="ignore")
        taken = safe.casefold() in (name.casefold() for name in names.values())
        names[label] = f"{safe or 'class'}-{label}" if taken or not safe else safe
    return names


def save_arrays(batches: Iterable[Tensor], count: int, path: Path, labels: Sequence[int] | None = None) -> None:
    """Save all samples to one `.npz` file, as the array `samples`, with their classes as the array `labels`.

    Args:
        batches: The samples, as batches `(B, ...)`, of which one at a time is kept.
        count: The number of all samples.
        path: The file.
        labels: The class of each sample; None for none.

    Raises:
        RunFailed: When the file cannot be written; none is left then.
    """
    draft = path.with_name(f".{path.name}.draft")
    with writing(path):
        try:
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                with archive.open("samples.npy", "w", force_zip64=True) as file:
                    _write_array(batches, count, file)
                if labels is not None:
                    with archive.open("labels.npy", "w") as file:
                        np.lib.format.write_array(file, np.asarray(labels))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _write_array(batches: Iterable[Tensor], count: int, file: IO[bytes]) -> None:
    """Write batches as one array in the format of NumPy: a header, then the numbers in order."""
    for number, batch in enumerate(batches):
        array = np.ascontiguousarray(batch.numpy())
        if number == 0:
            described = np.lib.format.dtype_to_descr(array.dtype)
            header = {"descr": described, "fortran_order": False, "shape": (count, *array.shape[1:])}
            np.lib.format.write_array_header_2_0(file, header)
        file.write(array.tobytes())


def _encoded(sample: Tensor, sample_rate: int | None) -> tuple[str, bytes]:
    """Return the suffix and the content of the file of one sample."""
    kind = tensor_kind(sample[None])
    if kind == "image":
        return _encoded_image(sample)
    if kind == "series" and sample_rate is not None:
        return ".wav", wav_file(sample[None], sample_rate)
    return ".npz", _npz({"sample": sample.numpy()})


def _encoded_image(image: Tensor) -> tuple[str, bytes]:
    """Return the suffix and the content of the file of an image, as a data set of images reads it."""
    values = ((image.clamp(-1, 1) + 1) * 127.5).round().to(uint8)
    pixels = np.ascontiguousarray(rearrange(values, "c h w -> h w c").numpy())
    stream = io.BytesIO()
    if len(image) not in PNG_CHANNELS:
        np.save(stream, pixels, allow_pickle=False)
        return ".npy", stream.getvalue()
    Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels).save(stream, format="png")
    return ".png", stream.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]
    return stream.getvalue()
