"""Handwritten digits that come with the package, stacks of three of them, and a LeNet trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from ganframe.config import Component, DatasetConfig, DataSpec, EncoderConfig, TensorSpec, hookimpl
from ganframe_digits.stacked_configs import StackedDigits, StackedModes

if TYPE_CHECKING:
    from torch import nn

    from ganframe.data import Dataset

__all__ = ["Digits", "LeNetDigits", "StackedDigits", "StackedModes", "register_components"]

Layer = Literal["pool1", "pool2", "features", "logits"]
"""An activation of the LeNet, from the input side."""


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


class LeNetDigits(EncoderConfig):
    """A LeNet-5 for handwritten digits 28 x 28, trained on the 5,000 training digits of the package."""

    paper = "LeCun et al. 1998, Gradient-based learning applied to document recognition, figure 2"
    type: Literal["lenet-digits"] = "lenet-digits"
    layers: tuple[Layer, ...] = Field(default=("features",), min_length=1)
    """The activations to return, from the input side: `pool1` `(B, 6, 14, 14)`, `pool2` `(B, 16, 5, 5)`, `features`
    `(B, 84)`, and `logits` `(B, 10)` of the classes."""

    @field_validator("layers")
    @classmethod
    def _no_layer_twice(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if len(set(layers)) < len(layers):
            raise ValueError("a layer is named twice")
        return layers

    @override
    def example_specs(self) -> Sequence[TensorSpec]:
        return (TensorSpec((1, 28, 28)),)

    @override
    def build(self) -> nn.Module:
        from ganframe_digits.lenet import Encoder

        return Encoder(self.layers)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data sets, the metric and the encoder."""
    for cls in (Digits, StackedDigits, StackedModes, LeNetDigits):
        register(cls)
