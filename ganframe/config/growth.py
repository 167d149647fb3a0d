"""Progressive growing: stages in which images and networks grow in resolution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from ganframe.config.settings import RunLength, Settings


class Stage(Settings):
    """A part of a run at one resolution."""

    from_images: int = Field(default=0, ge=0)
    """Number of real examples seen when the stage begins."""
    downscale: PositiveInt
    """Factor by which each side of the images is smaller than in the data; 1 for the full resolution."""
    fade_images: int = Field(default=0, ge=0)
    """Number of real examples over which the new layers of the stage are blended in."""
    batch_size: PositiveInt | None = None
    """Number of examples in one forward pass of the stage; the `batch_size` of `train` if left out."""

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the setting `from_images`, with the reason, if the stage never begins."""
        if self.from_images < length.images:
            return {}
        return {"from_images": f"lies beyond the end of the run, {length.images:,}, so the stage never begins"}


class Growth(Settings):
    """The stages of progressive growing (Karras et al. 2018, arXiv:1710.10196)."""

    stages: tuple[Stage, ...] = Field(min_length=2)
    """The stages in order. The first must begin at 0, and `downscale` must fall to 1, each value a multiple of the
    next."""
    reset_optimizers: bool = False
    """Reset the state of the optimizers at the start of each stage, as the paper does. Otherwise only new parameters
    begin without a state."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        starts = [stage.from_images for stage in self.stages]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"the `from_images` of stages must start at 0 and rise, but are {starts}")
        factors = [stage.downscale for stage in self.stages]
        if factors != sorted(set(factors), reverse=True) or factors[-1] != 1:
            raise ValueError(f"the `downscale` of stages must fall to 1, but is {factors}")
        for larger, smaller in itertools.pairwise(factors):
            if larger % smaller:
                raise ValueError(f"a `downscale` of {larger} is no multiple of the next one, {smaller}")
        return self

    def fade_at(self, stage: int, images: int) -> float:
        """Return how far the new layers of a stage are blended in, in [0, 1], after `images` real examples."""
        current = self.stages[stage]
        if stage == 0 or not current.fade_images:
            return 1.0
        return min(max((images - current.from_images) / current.fade_images, 0.0), 1.0)

    def stage_at(self, images: int) -> int:
        """Return the index of the current stage, counted from 0, after `images` real examples."""
        return max(number for number, stage in enumerate(self.stages) if stage.from_images <= images)
