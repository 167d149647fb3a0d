"""The shapes of named tensors, known before data is read and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """One example of a named tensor, without the batch axis.

    Attributes:
        shape: `(C, H, W)` for an image in [-1, 1], `(D,)` for a vector, `()` for a class label.
        classes: For a class label: how many there are; labels run from 0 to `classes - 1`.
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
"""The sample of a discriminator: one tensor, or several that belong together."""


DataSpec = Mapping[str, TensorSpec]
"""The tensors of a data set: a spec for each name."""


def parts(sample: SampleSpec) -> tuple[TensorSpec, ...]:
    """Return the tensors of a sample, also when it is just one."""
    return sample if isinstance(sample, tuple) else (sample,)
