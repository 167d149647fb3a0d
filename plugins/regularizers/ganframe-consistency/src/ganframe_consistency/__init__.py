"""Regularizers of what a discriminator says: the same under an augmentation, or close to what it said before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import field_validator

from ganframe.config import (
    AugmentationConfig,
    BadInput,
    Bounds,
    Component,
    RegularizerConfig,
    Scheduled,
    has_hooks,
    hookimpl,
    initial_value,
    scheduled_settings,
    within,
)

if TYPE_CHECKING:
    from ganframe.game import Game, Regularizer


class Consistency(RegularizerConfig):
    """Keeps the discriminator's verdict on a real the same when the real is augmented: ||C(x) - C(T(x))||^2."""

    paper = "Zhang et al. 2020, arXiv:1910.12027"
    type: Literal["consistency"] = "consistency"
    side = "discriminator"
    zero_when = "the judge is flat"
    weight: Scheduled = 10.0
    """Factor of the penalty (lambda in the paper); a number or a schedule."""
    augmentation: AugmentationConfig
    """The change T that should make no difference, such as a shift by a few pixels."""

    @field_validator("augmentation")
    @classmethod
    def _fixed(cls, augmentation: AugmentationConfig) -> AugmentationConfig:
        if scheduled_settings(augmentation):
            scheduled = ", ".join(scheduled_settings(augmentation))
            raise ValueError(f"a nested augmentation cannot follow a schedule, but {scheduled} does; give a number")
        return augmentation

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """With instance noise."""
        return {"augmentation": {"type": "instance-noise"}}

    def check(self, game: Game) -> None:
        """See base class."""
        with within("augmentation"):
            self.augmentation.check(game, ())
            if has_hooks(self.augmentation.build()):
                name = self.augmentation.type_name()
                message = f"{name!r} adapts to the run, of which a nested augmentation hears nothing"
                raise BadInput(message, remedy="Fix how strong it is: for 'ada' by `adapt: false` and a `p` above 0.")

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_consistency.consistency import Consistent  # noqa: PLC0415  configs stay free of torch

        return Consistent(self.augmentation.build())


class LeCam(RegularizerConfig):
    """Keeps logits of reals near or below the past mean on fakes, and those of fakes near or above that on reals."""

    paper = "Tseng et al. 2021, arXiv:2104.03310; one-sided as in the authors' code"
    type: Literal["lecam"] = "lecam"
    side = "discriminator"
    weight: Scheduled = 0.1
    """Factor of the penalty (lambda in the paper); a number or a schedule."""
    decay: Annotated[Scheduled, Bounds(ge=0, le=0.99999)] = 0.99
    """Share of the past means that a turn keeps (gamma in the paper); a number or a schedule."""

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_consistency.lecam import LeCamPenalty  # noqa: PLC0415  configs stay free of torch

        return LeCamPenalty(initial_value(self.decay))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both regularizers."""
    register(Consistency)
    register(LeCam)
