"""DiffAugment: the same random changes to reals and fakes, differentiable for the generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from ganframe.config import AugmentationConfig, BadInput, Component, LossConfig, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Game

Policy = Literal["color", "translation", "cutout"]


class DiffAugment(AugmentationConfig):
    """Randomly changes the colours of each image, shifts it, and blanks a rectangle of it."""

    paper = "Zhao et al. 2020, arXiv:2006.10738, section 3.2"
    type: Literal["diffaugment"] = "diffaugment"
    aliases = ("diff-augment",)
    identity_settings: ClassVar[Mapping[str, Any]] = {"policies": ()}
    policies: tuple[Policy, ...] = ("color", "translation", "cutout")
    """The changes, in this order; none if the list is empty."""
    translation_ratio: float = Field(default=1 / 8, ge=0, lt=1)
    """Largest shift along each side, as a share of the side."""
    cutout_ratio: float = Field(default=1 / 2, ge=0, le=1)
    """Sides of the blank rectangle, as a share of the image's sides."""

    @field_validator("policies")
    @classmethod
    def _once_each(cls, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
        if len(set(policies)) < len(policies):
            raise ValueError("a policy is named twice")
        return policies

    @override
    def check(self, game: Game, losses: Sequence[LossConfig]) -> None:
        for spec in game.discriminator_inputs():
            if len(spec.shape) != 3:
                raise BadInput(f"'diffaugment' changes images, but an example here is {spec}", remedy="Leave it out.")

    @override
    def build(self) -> nn.Module:
        from ganframe_diffaugment.augmentation import Augmentation

        return Augmentation(self.policies, self.translation_ratio, self.cutout_ratio)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the augmentation."""
    register(DiffAugment)
