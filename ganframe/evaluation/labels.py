"""Class labels as users give them: numbers or names."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Any, SupportsIndex, cast

import torch
from torch import Tensor

from ganframe.config.arguments import shown
from ganframe.config.tensor_specs import MAX_LISTED_CLASSES, TensorSpec
from ganframe.errors import BadInput
from ganframe.game.game import Game

Labels = Tensor | Sequence[int | str]
"""One class for each sample: its number or its name."""


def class_numbers(labels: Labels | Any, spec: TensorSpec) -> Tensor:
    """Return class labels as numbers, int64 `(N,)`.

    Args:
        labels: A sequence, array or tensor of numbers or names of classes.
        spec: The spec of the label.

    Raises:
        BadInput: When the labels are anything else, or a number or a name is that of no class.
    """
    given: Any = labels
    if hasattr(given, "tolist"):  # a tensor or an array
        given = given.tolist()
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise BadInput(f"labels are a list with one class for each sample, not {shown(given)}")
    return torch.tensor([_class_number(label, spec) for label in cast(Sequence[object], given)], dtype=torch.int64)


def _class_number(label: object, spec: TensorSpec) -> int:
    names, classes = spec.class_names or (), spec.classes or 0
    if isinstance(label, str):
        if label in names:
            return names.index(label)
        raise BadInput(f"there is no class {shown(label)}", remedy=_classes(spec))
    if isinstance(label, bool):
        raise BadInput(f"{label} is no label", remedy=_classes(spec))
    try:
        number = operator.index(cast(SupportsIndex, label))
    except (TypeError, ValueError):
        raise BadInput(f"{shown(label)} is no label", remedy=_classes(spec)) from None
    if not 0 <= number < classes:
        raise BadInput(f"labels run from 0 to {classes - 1}, and {number} is none of them", remedy=_classes(spec))
    return number


def _classes(spec: TensorSpec) -> str:
    classes = spec.classes or 0
    if spec.class_names is None:
        return f"Labels are whole numbers from 0 to {classes - 1}."
    more = f" and {classes - MAX_LISTED_CLASSES:,} more" if classes > MAX_LISTED_CLASSES else ""
    return f"The classes are: {', '.join(spec.class_names[:MAX_LISTED_CLASSES])}{more}."


def parse_labels(texts: Sequence[str], spec: TensorSpec) -> list[int]:
    """Return the numbers of classes that were typed. A text that is the name of a class means that class.

    Args:
        texts: Names or numbers of classes.
        spec: The spec of the label.

    Raises:
        BadInput: When a text is neither the name nor the number of a class.
    """
    names = spec.class_names or ()
    typed = [int(text) if text not in names and re.fullmatch("-?[0-9]{1,9}", text) else text for text in texts]
    return [_class_number(label, spec) for label in typed]


def free_label(game: Game) -> tuple[str, TensorSpec] | None:
    """Return the name and the spec of the label of samples; None if it cannot be chosen freely for each sample.

    It can be chosen if the samples are drawn from latents and the label is one of the data.
    """
    label = game.label_spec()
    return label if label is not None and label[0] in game.data and "latent" in game.makers else None
