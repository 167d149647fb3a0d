"""Samples that enlarge or balance a labelled image folder."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ganframe.config.arguments import as_path, check_type, check_whole_number
from ganframe.config.component_kinds import DatasetConfig
from ganframe.config.held_out_share import SplitDatasetConfig
from ganframe.config.tensor_specs import TensorSpec
from ganframe.data.class_labels import class_labels
from ganframe.data.open_data import open_dataset
from ganframe.errors import BadInput, within
from ganframe.evaluation.labels import Labels, class_numbers, free_label
from ganframe.evaluation.loaded_run import LoadedRun
from ganframe.evaluation.pictures import tensor_kind
from ganframe.evaluation.sample_files import PNG_CHANNELS, save_samples

MAX_NAME_BYTES = 255
"""The longest name of a folder, in bytes."""


def augment(
    loaded: LoadedRun,
    folder: Path,
    *,
    per_class: int | None = None,
    balance: bool = False,
    labels: Labels | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, int]:
    """Save samples of each class as an image folder, with a subfolder for each class.

    A run can train on it, with the data `image-folder` and its setting `with_labels`. File names begin with the name of
    the run and the seed, and end with a part that depends on the content, so that the files can join those of the
    training images and of other calls. If the data of the run have a `held_out_share`, no name is one that it holds
    out: samples are only trained on. One batch at a time is in memory.

    Args:
        loaded: The run. Its samples are images of 1, 3 or 4 channels, for a class that can be chosen.
        folder: The new folder.
        per_class: Number of samples of each class.
        balance: In place of `per_class`: as many samples of a class as it has fewer training images than the largest
            class.
        labels: The numbers or names of the classes; every class when None.
        seed: The seed of all random draws.
        progress: Called after each batch with the number of samples that are done, and that of all samples.

    Returns:
        The number of samples of each class, by the name of the class.

    Raises:
        BadInput: When the run has no such samples, the folder exists, not exactly one of `per_class` and `balance` is
            given, there is no such class, no folder can have the name of a class, no sample is needed, a weight is not
            finite, or the training data cannot be read or does not tell its labels.
        RunFailed: When a file cannot be written.
    """
    folder = as_path("folder", folder)
    check_whole_number("seed", seed)
    check_type("balance", balance, bool, "True or False")
    if (per_class is None) != balance:
        raise BadInput("samples are counted by `per_class` or by `balance`", remedy="Give one of the two.")
    if folder.exists():
        raise BadInput("this exists already", place=str(folder), remedy="Choose another folder.")
    label = free_label(loaded.game)
    if label is None:
        message = "the classes of this run's samples cannot be chosen, so they have no labels"
        raise BadInput(message, remedy="Train with a condition, such as `game: {condition: label}`.")
    name, spec = label
    if per_class is None:
        wanted = _missing(loaded, name)
    else:
        check_whole_number("per_class", per_class)
        if per_class < 1:
            raise BadInput(f"{per_class} samples of each class cannot be drawn")
        wanted = [per_class] * (spec.classes or 0)
    chosen = range(len(wanted)) if labels is None else sorted(set(class_numbers(labels, spec).tolist()))
    numbers = [number for number in chosen for _ in range(wanted[number])]
    if not numbers:
        raise BadInput("no sample is needed: these classes are as large as the largest one")
    batches = loaded.batches(len(numbers), (loaded.game.output,), seed=seed, labels=numbers)
    images = _checked(batch[loaded.game.output] for batch in batches)
    names = {number: _folder_name(spec, number) for number in set(numbers)}
    stem = partial(_stem, loaded.experiment.data, f"{loaded.folder.path.resolve().name}-seed{seed}-")
    save_samples(_tracked(images, len(numbers), progress), folder, labels=numbers, folders=names, stem=stem)
    return {spec.class_name(number): wanted[number] for number in chosen}


def _missing(loaded: LoadedRun, name: str) -> list[int]:
    """Return how many training images fewer than the largest class each class has."""
    specs = loaded.game.data
    with within("data"):
        labels = class_labels(open_dataset(loaded.experiment.data), specs, name)
    counts = torch.bincount(labels, minlength=specs[name].classes or 0)
    return (counts.max() - counts).tolist()


def _folder_name(spec: TensorSpec, number: int) -> str:
    """Return the name of a class, which becomes that of a folder: another name would be another class.

    Raises:
        BadInput: When a folder cannot have it.
    """
    name = spec.class_name(number)
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > MAX_NAME_BYTES:
        remedy = "Leave the class out with `labels` (--label), or rename it in the data."
        raise BadInput(f"no folder can have the name of the class {name!r}", remedy=remedy)
    return name


def _stem(data: DatasetConfig, prefix: str, index: int, folder: str, content: bytes) -> str:
    """Return the name of a file without the suffix: the first that depends on the content and is not held out."""
    for attempt in itertools.count():
        digest = hashlib.sha256(content + attempt.to_bytes(8)).hexdigest()
        stem = f"{prefix}{index:06d}-{digest[:8]}"
        if not (isinstance(data, SplitDatasetConfig) and data.holds_out(f"{folder}/{stem}.png")):
            return stem
    raise AssertionError


def _checked(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Return the batches; refuse samples that are no images of 1, 3 or 4 channels before any of them is used."""
    batches = iter(batches)
    first = next(batches)
    if tensor_kind(first) != "image" or first.shape[1] not in PNG_CHANNELS:
        spec = TensorSpec(tuple(first.shape[1:]))
        raise BadInput(f"image files have 1, 3 or 4 channels, but this run's samples are {spec}")
    return itertools.chain([first], batches)


def _tracked(batches: Iterable[Tensor], count: int, progress: Callable[[int, int], None]) -> Iterator[Tensor]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress(done, count)
