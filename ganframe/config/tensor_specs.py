"""The shapes of named tensors, which are known before data is read and torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """The shape and meaning of one example of a named tensor, without the batch axis.

    Attributes:
        shape: `(C, H, W)` for an image in [-1, 1], `(D,)` for a vector, `()` for a class label.
        classes: Number of classes of a class label, which is from 0 to `classes - 1`; None for any other tensor.
    """

    shape: tuple[int, ...]
    classes: int | None = None

    def __str__(self) -> str:
        if self.classes is not None:
            return f"one of {self.classes} classes"
        if len(self.shape) == 1:
            return f"{self.shape[0]} numbers"
        return " x ".join(str(side) for side in self.shape)


SampleSpec = TensorSpec | tuple[TensorSpec, ...]
"""The spec of a sample that a discriminator is given: one tensor, or several that belong together."""


DataSpec = Mapping[str, TensorSpec]
"""The specs of the tensors of a data set, by name."""


def parts(sample: SampleSpec) -> tuple[TensorSpec, ...]:
    """Return the specs of the tensors of a sample, as a tuple even if there is only one."""
    return sample if isinstance(sample, tuple) else (sample,)
