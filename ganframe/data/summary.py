"""The summary of a data set: the number of examples, and what of its source was left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ganframe.config.tensor_specs import DataSpec, describe_classes
from ganframe.data.dataset import Dataset
from ganframe.errors import BadInput
from ganframe.plugins.author_code import author_code, name_of, source_of

MAX_NAMES = 3
"""The largest number of names of what was left out that are listed for a reason."""

_LEFT_OUT: TypeAdapter[Mapping[str, Sequence[str]]] = TypeAdapter(Mapping[str, Sequence[str]])


@dataclass(frozen=True)
class LeftOut:
    """The parts of a source that a data set left out for one reason.

    Attributes:
        count: The number of files, folders or other parts.
        names: The names of the first of them.
    """

    count: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> LeftOut:
        """Count these names, and keep the first of them."""
        return cls(len(names), tuple(names[:MAX_NAMES]))

    def __str__(self) -> str:
        more = f" and {self.count - len(self.names):,} more" if self.count > len(self.names) else ""
        return ", ".join(self.names) + more


@dataclass(frozen=True)
class DataSummary:
    """The summary of a data set.

    Attributes:
        examples: The number of examples.
        left_out: What was left out, by the reason.
    """

    examples: int
    left_out: dict[str, LeftOut] = field(default_factory=dict[str, LeftOut])

    def lines(self, specs: DataSpec) -> list[tuple[str, str]]:
        """Return titles and texts: the number of examples, and which number is which class.

        Args:
            specs: The specs of the data set.
        """
        classes = [(f"classes of {name}", text) for name, text in named_classes(specs).items()]
        return [("examples", f"{self.examples:,}"), *classes]

    def left_out_lines(self) -> list[tuple[str, str]]:
        """Return titles and texts: for each reason how many were left out, and the first names."""
        return [(f"left out: {each.count:,} {reason}", str(each)) for reason, each in self.left_out.items()]


def named_classes(specs: DataSpec) -> dict[str, str]:
    """Return, for each label whose classes have names, which number is which class."""
    return {
        name: describe_classes(range(spec.classes), spec)
        for name, spec in specs.items()
        if spec.classes is not None and spec.class_names is not None
    }


def summarize(dataset: Dataset) -> DataSummary:
    """Count the examples of a data set, and ask it what it left out, if it has a method `left_out`.

    Raises:
        BadInput: When the method fails, or returns anything else than names by reason.
    """
    names = left_out_names(dataset)
    return DataSummary(len(dataset), {reason: LeftOut.of(each) for reason, each in names.items() if each})


def left_out_names(dataset: Dataset) -> dict[str, list[str]]:
    """Return the names of all that a data set left out, by the reason; empty if it has no method `left_out`.

    Raises:
        BadInput: When the method fails, or returns anything else than names by reason.
    """
    method: Any = getattr(dataset, "left_out", None)
    if method is None:
        return {}
    owner = f"{name_of(type(dataset))}.left_out"
    with author_code(owner, type(dataset)):
        given = method()
    try:
        return {reason: list(each) for reason, each in _LEFT_OUT.validate_python(given, strict=True).items()}
    except ValidationError:
        remedy = 'Return the names of what was left out by the reason, such as `{"files of other types": ["a.txt"]}`.'
        message = f"{owner} returned {type(given).__name__} and not lists of names by reason"
        raise BadInput(message, place=source_of(dataset), remedy=remedy) from None
