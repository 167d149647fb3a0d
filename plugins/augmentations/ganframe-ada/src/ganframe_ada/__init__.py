"""Adaptive discriminator augmentation: as much random change to reals and fakes as overfitting calls for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from ganframe.config import AugmentationConfig, BadInput, Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Game

Group = Literal["blit", "geometry", "color"]


class ADA(AugmentationConfig):
    """Turns, moves, scales and recolours images, as often as the discriminator's overfitting calls for."""

    paper = "Karras et al. 2020, arXiv:2006.06676, sections 2.2 and 3, and appendix B"
    type: Literal["ada"] = "ada"
    identity_settings: ClassVar[Mapping[str, Any]] = {"p": 0.0, "adapt": False}
    groups: tuple[Group, ...] = ("blit", "geometry", "color")
    """Which transformations there are: the paper's b, bg or bgc. `blit` is mirroring, quarter turns and whole-pixel
    shifts, `geometry` scaling, rotation and shifts by fractions of a pixel, `color` for images of 1 or 3 channels."""
    p: float = Field(default=0.0, ge=0, le=1)
    """Probability of each transformation: the first value, or the only one where `adapt` is off."""
    adapt: bool = True
    """Let p follow r_t, the mean sign of the discriminator's logits of reals (the paper's eq. 1)."""
    target: float = Field(default=0.6, ge=-1, le=1)
    """The r_t that is aimed at: above it p rises, below it p falls."""
    interval: int = Field(default=4, ge=1)
    """Discriminator turns between two changes of p; r_t is the mean over them."""
    images: int = Field(default=500_000, ge=1)
    """Reals that the discriminator sees while p rises from 0 to 1."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Every transformation, since none is taken at the defaults."""
        return {"p": 1.0, "adapt": False}

    @field_validator("groups")
    @classmethod
    def _once_each(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        if len(set(groups)) < len(groups):
            raise ValueError("a group is named twice")
        return groups

    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        """See base class."""
        for spec in game.discriminator_inputs():
            if len(spec.shape) != 3:
                raise BadInput(f"'ada' changes images, and one example here is {spec}", remedy="Leave it out.")
            if "color" in self.groups and spec.shape[0] not in (1, 3):
                message = f"'ada' changes the colours of images with 1 or 3 channels, and these are {spec}"
                raise BadInput(message, path=("groups",), remedy="Say `groups: [blit, geometry]`.")
        for loss in losses if self.adapt else ():
            if loss.decision_threshold != 0:
                message = f"'ada' goes by the sign of the logits, which says nothing under {loss.type_name()!r}"
                remedy = "Take a loss whose logits are 0 between real and fake, or say `adapt: false`."
                raise BadInput(message, path=("adapt",), remedy=remedy)

    def build(self) -> nn.Module:
        """See base class."""
        from ganframe_ada.augmentation import Adaptive, Pipeline  # noqa: PLC0415  configs stay free of torch

        return Adaptive(self) if self.adapt else Pipeline(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the augmentation."""
    register(ADA)
