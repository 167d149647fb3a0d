"""The class labels of a whole data set, without reading its examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from ganframe.config.tensor_specs import DataSpec
from ganframe.data.dataset import Dataset
from ganframe.errors import BadInput, within
from ganframe.plugins.author_code import author_code, name_of, source_of

FREE_CLASSES = 2**16
"""The number of classes that data may have, however few its examples are."""


def check_largest_label(label: int, example: str, examples: int, place: str) -> None:
    """Refuse a class number that is far above the number of examples: networks are as large as the number of classes.

    Args:
        label: The largest label.
        example: The name of an example that has it.
        examples: The number of examples.
        place: The data, for messages.

    Raises:
        BadInput: When the label is neither below `FREE_CLASSES` nor below the number of examples.
    """
    if label >= max(FREE_CLASSES, examples):
        message = f"the label of {example} is {label:,}, and there are {examples:,} examples"
        raise BadInput(message, place=place, remedy="Number the classes from 0 on, without gaps.")


def labels_to_balance(name: str | None, dataset: Dataset, specs: DataSpec) -> Tensor | None:
    """Return the class of each example, int64 `(N,)`, for the setting `train.balance_classes`; None if it is left out.

    Args:
        name: The setting: the name of the class label.
        dataset: The data set.
        specs: The specs of its tensors.

    Raises:
        BadInput: As `class_labels`, with the path of the setting.
    """
    if name is None:
        return None
    with within("train", "balance_classes"):
        return class_labels(dataset, specs, name)


def class_labels(dataset: Dataset, specs: DataSpec, name: str) -> Tensor:
    """Return the class of each example of a data set, int64 `(N,)`. Its method `labels` is asked.

    Args:
        dataset: The data set.
        specs: The specs of its tensors.
        name: The name of the class label.

    Raises:
        BadInput: When the data has no such class label, the data set lacks the method, or the method fails or returns
            anything else than a class for each example.
    """
    names = [each for each, spec in specs.items() if spec.kind == "label"]
    if name not in names:
        remedy = f"Its class labels: {', '.join(names)}." if names else "Choose data with class labels."
        raise BadInput(f"the data has no class label {name!r}", remedy=remedy)
    method: Any = getattr(dataset, "labels", None)
    owner = name_of(type(dataset))
    if method is None:
        message = f"the data set {owner} does not tell the classes of its examples without reading them"
        remedy = "Give it a method `labels` that returns the class of each example by the name of the label."
        raise BadInput(message, place=source_of(dataset), remedy=remedy)
    with author_code(f"{owner}.labels", type(dataset)):
        given: Any = method()
    labels = cast(Mapping[str, Any], given).get(name) if isinstance(given, Mapping) else None
    if isinstance(labels, Tensor) and _fits(labels, len(dataset), specs[name].classes or 0):
        return labels
    remedy = f"Return an int64 tensor ({len(dataset)},) with numbers from 0 to {(specs[name].classes or 0) - 1}."
    raise BadInput(f"{owner}.labels returned no class for each {name!r}", place=source_of(dataset), remedy=remedy)


def _fits(labels: Tensor, count: int, classes: int) -> bool:
    """Return whether these are the classes of `count` examples."""
    if labels.dtype != torch.int64 or labels.shape != (count,):
        return False
    return not count or (int(labels.min()) >= 0 and int(labels.max()) < classes)
