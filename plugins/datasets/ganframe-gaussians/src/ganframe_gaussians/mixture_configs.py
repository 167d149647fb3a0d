"""Configs of mixtures of Gaussians in the plane."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import DatasetConfig, DataSpec, TensorSpec

if TYPE_CHECKING:
    from ganframe.data import Dataset

Point = tuple[float, float]


class GaussianMixture(DatasetConfig):
    """Points of the plane around some modes, equally many of each."""

    sigma: float = Field(default=0.05, gt=0)
    """Standard deviation of a mode along each axis."""
    samples: PositiveInt = 100_000
    """Points in the data set."""
    seed: int = Field(default=0, ge=0)
    """Seed of the points."""
    split: Literal["train", "held-out"] = "train"
    """The points to train on, or as many other points."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"samples": 200}

    def centres(self) -> tuple[Point, ...]:
        """Return the modes."""
        raise NotImplementedError

    def spec(self) -> DataSpec:
        """Return the specs of `real` (2 numbers) and `label` (the mode)."""
        return {"real": TensorSpec((2,)), "label": TensorSpec((), classes=len(self.centres()))}

    @override
    def build(self) -> Dataset:
        from ganframe_gaussians.mixture import draw

        return draw(self)

    def held_out(self) -> DatasetConfig | None:
        """Return a config of as many points from other draws; None for the held-out points themselves."""
        return self.model_copy(update={"split": "held-out"}) if self.split == "train" else None


class Ring(GaussianMixture):
    """Gaussians at equal angles on a circle."""

    paper = "Metz et al. 2017, arXiv:1611.02163, section 3.1; sizes as in Srivastava et al. 2017, arXiv:1705.07761"
    type: Literal["ring"] = "ring"
    modes: int = Field(default=8, ge=1)
    """Number of modes."""
    radius: float = Field(default=1.0, gt=0)
    """Distance of the modes from the origin."""
    sigma: float = Field(default=0.01, gt=0)
    """Standard deviation of a mode along each axis."""

    def centres(self) -> tuple[Point, ...]:
        """Return the modes, counterclockwise from (radius, 0)."""
        angles = (2 * math.pi * mode / self.modes for mode in range(self.modes))
        return tuple((self.radius * math.cos(angle), self.radius * math.sin(angle)) for angle in angles)


class Grid(GaussianMixture):
    """Gaussians on a square grid around the origin."""

    paper = "Srivastava et al. 2017, arXiv:1705.07761, section 4.1"
    type: Literal["grid"] = "grid"
    side: int = Field(default=5, ge=1)
    """Number of modes along each axis."""
    spacing: float = Field(default=2.0, gt=0)
    """Distance of neighbouring modes."""

    def centres(self) -> tuple[Point, ...]:
        """Return the modes, row by row."""
        line = [self.spacing * (index - (self.side - 1) / 2) for index in range(self.side)]
        return tuple((x, y) for y in line for x in line)
