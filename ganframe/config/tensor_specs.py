"""The shapes and meanings of named tensors, known without reading data or importing torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganframe.errors import BadInput

TensorKind = Literal["label", "image", "sound", "series", "number", "points", "vector", "other"]
"""The kind of content of a tensor, which decides how it is shown in pictures and saved to files."""

MAX_LISTED_CLASSES = 20
"""Maximum number of classes that a message lists."""


@dataclass(frozen=True)
class TensorSpec:
    """The shape and meaning of one example of a named tensor, without the batch axis.

    Attributes:
        shape: Image: `(C, H, W)`, values in [-1, 1]. Sound: `(C, T)`, values in [-1, 1]. Series of T values in each of
            C channels: `(C, T)`. Vector: `(D,)`. Class label: `()`.
        classes: Number of classes of a class label, whose values are 0 to `classes - 1`; None for any other tensor.
        class_names: The name of each class of a class label, from class 0 on; None if the classes have no names.
        sample_rate: Samples per second of a sound; None for any other tensor.

    Raises:
        BadInput: When `class_names` are not distinct, printable and one for each class, or when a tensor with a sample
            rate is not of shape `(C, T)`.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.class_names is not None:
            _check_names(self.class_names, self.classes)
        if self.sample_rate is not None and (len(self.shape) != 2 or self.sample_rate < 1):
            message = f"a sound is channels x samples at 1 Hz or more, not {self.shape} at {self.sample_rate} Hz"
            raise BadInput(message)

    @property
    def kind(self) -> TensorKind:
        """The kind of content, derived from the other attributes. A vector of two numbers is a point in the plane."""
        if self.classes is not None:
            return "label" if self.shape == () else "other"
        if len(self.shape) == 3:
            return "image"
        if len(self.shape) == 2:
            return "series" if self.sample_rate is None else "sound"
        if len(self.shape) == 1:
            kinds: dict[int, TensorKind] = {1: "number", 2: "points"}
            return kinds.get(self.shape[0], "vector")
        return "other"

    def class_name(self, number: int) -> str:
        """Return the name of a class, or its number as text if the classes have no names."""
        return str(number) if self.class_names is None else self.class_names[number]

    def __str__(self) -> str:
        if self.classes is not None:
            return f"one of {self.classes} classes"
        if len(self.shape) == 1:
            return f"{self.shape[0]} numbers"
        size = " x ".join(str(side) for side in self.shape)
        return size if self.sample_rate is None else f"{size} at {self.sample_rate} Hz"


def _check_names(names: tuple[str, ...], classes: int | None) -> None:
    if len(names) != classes:
        raise BadInput(f"there are {len(names)} names for {classes or 0} classes")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"two classes have the name {twice!r}")
    for name in names:
        if not name or not name.isprintable():
            raise BadInput(f"{name!r} is no name of a class", remedy="Use letters, digits, spaces and signs.")


SampleSpec = TensorSpec | tuple[TensorSpec, ...]
"""The spec of a sample or of its condition; a tuple if it has several tensors."""


DataSpec = Mapping[str, TensorSpec]
"""The specs of the tensors of a data set, by name."""


def parts(sample: SampleSpec) -> tuple[TensorSpec, ...]:
    """Return the specs of the tensors of a sample, as a tuple even if there is only one."""
    return sample if isinstance(sample, tuple) else (sample,)


def describe_classes(numbers: Sequence[int], spec: TensorSpec) -> str:
    """Return the number and name of each of these classes, without repetition: `0 is cat, 3 is dog`."""
    chosen = sorted(set(numbers))
    listed = ", ".join(f"{number} is {spec.class_name(number)}" for number in chosen[:MAX_LISTED_CLASSES])
    return listed + (f" and {len(chosen) - MAX_LISTED_CLASSES:,} more" if len(chosen) > MAX_LISTED_CLASSES else "")
