"""Handwritten digits that come with the package: 5,000 to train on, 1,000 held out; and stacks of three of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from ganframe.config import Component, DatasetConfig, DataSpec, TensorSpec, hookimpl
from ganframe_digits.stacked_configs import StackedDigits, StackedModes

if TYPE_CHECKING:
    from ganframe.data import Dataset

__all__ = ["Digits", "StackedDigits", "StackedModes", "register_components"]


class Digits(DatasetConfig):
    """Handwritten digits 28 x 28 with labels 0 to 9, from MNIST."""

    paper = "LeCun et al. 1998, Gradient-based learning applied to document recognition"
    type: Literal["digits"] = "digits"
    split: Literal["train", "held-out"] = "train"
    """The 5,000 digits to train on, or the 1,000 that are held out."""
    examples: int | None = Field(default=None, ge=10, multiple_of=10)
    """Number of examples, equally many of each class and the first ones of it; all when left out."""

    def spec(self) -> DataSpec:
        """Return the specs of `real` (1 x 28 x 28) and `label`."""
        return {"real": TensorSpec((1, 28, 28)), "label": TensorSpec((), 10, tuple("0123456789"))}

    @model_validator(mode="after")
    def _enough_examples(self) -> Digits:
        available = 5000 if self.split == "train" else 1000
        if self.examples is not None and self.examples > available:
            raise ValueError(f"{self.examples} examples are requested, but {self.split!r} has {available}")
        return self

    @override
    def build(self) -> Dataset:
        from ganframe_digits.dataset import load

        return load(self.split, self.examples)

    @override
    def held_out(self) -> DatasetConfig | None:
        return Digits(split="held-out") if self.split == "train" else None


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets and the metric."""
    for cls in (Digits, StackedDigits, StackedModes):
        register(cls)
