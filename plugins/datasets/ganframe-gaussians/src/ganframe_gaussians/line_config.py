"""Config of numbers from one Gaussian."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import DatasetConfig, DataSpec, TensorSpec

if TYPE_CHECKING:
    from ganframe.data import Dataset


class Gaussian(DatasetConfig):
    """Numbers from one Gaussian."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661, figure 1"
    type: Literal["gaussian"] = "gaussian"
    mean: float = 0.0
    """Mean of the Gaussian."""
    sigma: float = Field(default=1.0, gt=0)
    """Standard deviation of the Gaussian."""
    samples: PositiveInt = 100_000
    """Numbers in the data set."""
    seed: int = Field(default=0, ge=0)
    """Seed of the numbers."""
    split: Literal["train", "held-out"] = "train"
    """The numbers to train on, or as many others."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"samples": 2000}

    def spec(self) -> DataSpec:
        """Return the spec of `real` (1 number)."""
        return {"real": TensorSpec((1,))}

    @override
    def build(self) -> Dataset:
        from ganframe_gaussians.line import draw

        return draw(self)

    def held_out(self) -> DatasetConfig | None:
        """Return a config of as many numbers from other draws; None for the held-out numbers themselves."""
        return self.model_copy(update={"split": "held-out"}) if self.split == "train" else None
