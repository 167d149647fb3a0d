"""The identity of the data of a run: what may not change between its start and its end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.errors import BadInput
from ganframe.plugins.author_code import author_code, name_of, source_of

MAX_NAMED_CLASSES = 3
"""The largest number of classes of one sort that a difference names."""

_NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])


@dataclass(frozen=True)
class DataIdentity:
    """The identity of a data set when a run was trained with it.

    Attributes:
        tensors: The specs of its tensors, with the names of classes.
        examples: The number of examples; None where that is not known.
        files: The SHA-256 of the names of its files, in the order of the examples; None where it names none.
        labels: The SHA-256 of its class labels, in the order of the examples; None where it does not tell them.
        content: The hash of all that its source has; None where it does not tell it.
    """

    tensors: dict[str, TensorSpec]
    examples: int | None = None
    files: str | None = None
    labels: str | None = None
    content: str | None = None

    def changes(self, now: DataIdentity) -> list[str]:
        """Return what is different now, each in a few words; what either of them does not know is no difference."""
        found = list[str]()
        if None not in (self.examples, now.examples) and self.examples != now.examples:
            found.append(_more_or_fewer((now.examples or 0) - (self.examples or 0)))
        for name in sorted(self.tensors.keys() | now.tensors.keys()):
            found += _tensor_changes(name, self.tensors.get(name), now.tensors.get(name))
        if found:
            return found
        compared = [
            (self.files, now.files, "files of other names, or in another order"),
            (self.labels, now.labels, "other class labels of the same examples"),
            (self.content, now.content, "other content under the same names"),
        ]
        for before, after, change in compared:
            if None not in (before, after) and before != after:
                return [change]
        return []


def identify(dataset: Dataset, specs: DataSpec) -> DataIdentity:
    """Return the identity of a data set; of `file_names`, `labels` and `content_hash` the methods it has are asked.

    Args:
        dataset: The data set.
        specs: The specs of its tensors.

    Raises:
        BadInput: When a method fails, `file_names` returns anything else than names, or `content_hash` anything else
            than text.
    """
    names = file_names(dataset)
    digest = None if names is None else hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()
    return DataIdentity(dict(specs), len(dataset), digest, _labels_hash(dataset, specs), _content_hash(dataset))


def _labels_hash(dataset: Dataset, specs: DataSpec) -> str | None:
    method: Any = getattr(dataset, "labels", None)
    if not callable(method):
        return None
    with author_code(f"{name_of(type(dataset))}.labels", type(dataset)):
        given: Any = method()
    found = cast(Mapping[str, Any], given) if isinstance(given, Mapping) else {}
    names = [name for name in sorted(specs) if specs[name].kind == "label" and isinstance(found.get(name), Tensor)]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode() + found[name].cpu().to(torch.int64).contiguous().numpy().data)
    return digest.hexdigest() if names else None


def _content_hash(dataset: Dataset) -> str | None:
    method: Any = getattr(dataset, "content_hash", None)
    if method is None:
        return None
    owner = f"{name_of(type(dataset))}.content_hash"
    with author_code(owner, type(dataset)):
        given: Any = method()
    if isinstance(given, str):
        return given
    raise BadInput(f"{owner} returned {type(given).__name__} and not a hash as text", place=source_of(dataset))


def file_names(dataset: Dataset) -> list[str] | None:
    """Return the names of the files of a data set, in the order of its examples; None where it names none.

    Raises:
        BadInput: When its method `file_names` fails, or returns anything else than names.
    """
    method: Any = getattr(dataset, "file_names", None)
    if method is None:
        return None
    owner = f"{name_of(type(dataset))}.file_names"
    with author_code(owner, type(dataset)):
        given = list(method())
    try:
        return _NAMES.validate_python(given, strict=True)
    except ValidationError:
        remedy = "Return the path of each file as text, relative to the folder of the data."
        raise BadInput(f"{owner} returned no list of names", place=source_of(dataset), remedy=remedy) from None


def _more_or_fewer(count: int) -> str:
    noun = "example" if abs(count) == 1 else "examples"
    return f"{count:,} {noun} more" if count > 0 else f"{-count:,} {noun} fewer"


def _tensor_changes(name: str, before: TensorSpec | None, now: TensorSpec | None) -> list[str]:
    if before is None or now is None:
        return [f"{name!r} is new" if before is None else f"{name!r} is gone"]
    if before.classes is not None and before.shape == now.shape and now.classes is not None:
        return _class_changes(name, before, now)
    return [f"{name!r} is {now} and was {before}"] if str(before) != str(now) else []


def _class_changes(name: str, before: TensorSpec, now: TensorSpec) -> list[str]:
    if before.class_names is None or now.class_names is None:
        return [f"{name!r} is {now} and was {before}"] if before.classes != now.classes else []
    older, newer = before.class_names, now.class_names
    gone, new = [each for each in older if each not in newer], [each for each in newer if each not in older]
    if len(older) == len(newer) and len(gone) == len(new):
        renamed = [f"the class {a!r} is now {b!r}" for a, b in zip(older, newer, strict=True) if a != b]
        return _listed(renamed)
    return [
        *_listed([f"the class {each!r} is new" for each in new]),
        *_listed([f"the class {each!r} is gone" for each in gone]),
    ]


def _listed(changes: Sequence[str]) -> list[str]:
    more = len(changes) - MAX_NAMED_CLASSES
    return [*changes[:MAX_NAMED_CLASSES], *([f"so it is with {more:,} more classes"] if more > 0 else [])]
