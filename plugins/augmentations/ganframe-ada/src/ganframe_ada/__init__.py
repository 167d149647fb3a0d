"""Adaptive discriminator augmentation: random changes to reals and fakes, as often as overfitting requires."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from ganframe.config import AugmentationConfig, BadInput, Component, LossConfig, RunLength, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Game

Group = Literal["blit", "geometry", "color"]


class ADA(AugmentationConfig):
    """Rotates, shifts, scales and recolours images, with a probability that follows the discriminator's overfitting."""

    paper = "Karras et al. 2020, arXiv:2006.06676, sections 2.2 and 3, and appendix B"
    type: Literal["ada"] = "ada"
    renamed: ClassVar[Mapping[str, str]] = {"images": "adjustment_images"}
    identity_settings: ClassVar[Mapping[str, Any]] = {"p": 0.0, "adapt": False}
    groups: tuple[Group, ...] = ("blit", "geometry", "color")
    """The groups of transformations: the paper's b, bg or bgc. `blit` is mirroring, quarter turns and whole-pixel
    shifts, `geometry` scaling, rotation and shifts by fractions of a pixel, `color` for images of 1 or 3 channels."""
    p: float = Field(default=0.0, ge=0, le=1)
    """Probability of each transformation: the initial value, or the fixed value if `adapt` is off."""
    adapt: bool = True
    """Let p follow r_t, the mean sign of the discriminator's logits of reals (the paper's eq. 1)."""
    target: float = Field(default=0.6, ge=-1, le=1)
    """Target of r_t: above it p rises, below it p falls."""
    interval: int = Field(default=4, ge=1)
    """Number of discriminator turns between two changes of p; r_t is the mean over these turns."""
    adjustment_images: int = Field(default=500_000, ge=1)
    """Number of reals that the discriminator sees while p rises from 0 to 1."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings that apply every transformation; the defaults apply none."""
        return {"p": 1.0, "adapt": False}

    @field_validator("groups")
    @classmethod
    def _once_each(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        if len(set(groups)) < len(groups):
            raise ValueError("a group is named twice")
        return groups

    @override
    def idle(self, length: RunLength) -> Mapping[str, str]:
        if not self.adapt or self.interval <= length.turns:
            return {}
        return {"interval": f"is longer than the run, {length.turns:,} turns, so p never changes"}

    @override
    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        for spec in game.discriminator_inputs():
            if len(spec.shape) != 3:
                raise BadInput(f"'ada' changes images, but an example here is {spec}", remedy="Leave it out.")
            if "color" in self.groups and spec.shape[0] not in (1, 3):
                message = f"'ada' changes the colours of images with 1 or 3 channels, but these are {spec}"
                raise BadInput(message, path=("groups",), remedy="Set `groups: [blit, geometry]`.")
        for loss in losses if self.adapt else ():
            if loss.decision_threshold != 0:
                message = f"'ada' reads the sign of the logits, which has no meaning with {loss.type_name()!r}"
                remedy = "Use a loss whose logits are 0 between real and fake, or set `adapt: false`."
                raise BadInput(message, path=("adapt",), remedy=remedy)

    @override
    def build(self) -> nn.Module:
        from ganframe_ada.augmentation import Adaptive, Pipeline

        return Adaptive(self) if self.adapt else Pipeline(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the augmentation."""
    register(ADA)
