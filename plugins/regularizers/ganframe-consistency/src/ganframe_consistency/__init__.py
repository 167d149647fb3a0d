"""Regularizers that keep a discriminator's output the same under an augmentation, or close to its past averages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import field_validator
from typing_extensions import override

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
    """Keeps the discriminator's output for a real the same when the real is augmented: ||C(x) - C(T(x))||^2."""

    paper = "Zhang et al. 2020, arXiv:1910.12027"
    type: Literal["consistency"] = "consistency"
    side = "discriminator"
    zero_when = "discriminator is constant"
    weight: Scheduled = 10.0
    """Factor of the penalty (lambda in the paper); a number or a schedule."""
    augmentation: AugmentationConfig
    """The augmentation T that should not change the output, such as a shift by a few pixels."""

    @field_validator("augmentation")
    @classmethod
    def _fixed(cls, augmentation: AugmentationConfig) -> AugmentationConfig:
        if scheduled_settings(augmentation):
            scheduled = ", ".join(scheduled_settings(augmentation))
            raise ValueError(f"a nested augmentation cannot follow a schedule, but {scheduled} does; give a number")
        return augmentation

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"augmentation": {"type": "instance-noise"}}

    @override
    def check(self, game: Game) -> None:
        with within("augmentation"):
            self.augmentation.check(game, ())
            if has_hooks(self.augmentation.build()):
                name = self.augmentation.type_name()
                message = f"{name!r} adapts to the run, which a nested augmentation cannot do"
                raise BadInput(message, remedy="Fix its strength: for 'ada', set `adapt: false` and a `p` above 0.")

    @override
    def build(self) -> Regularizer:
        from ganframe_consistency.consistency import ConsistencyPenalty

        return ConsistencyPenalty(self.augmentation.build())


class LeCam(RegularizerConfig):
    """Keeps logits of reals below or near the past mean of fakes, and logits of fakes above or near that of reals."""

    paper = "Tseng et al. 2021, arXiv:2104.03310; one-sided as in the authors' code"
    type: Literal["lecam"] = "lecam"
    side = "discriminator"
    weight: Scheduled = 0.1
    """Factor of the penalty (lambda in the paper); a number or a schedule."""
    decay: Annotated[Scheduled, Bounds(ge=0, le=0.99999)] = 0.99
    """Share of the past means that a turn keeps (gamma in the paper); a number or a schedule."""

    @override
    def build(self) -> Regularizer:
        from ganframe_consistency.lecam import LeCamPenalty

        return LeCamPenalty(initial_value(self.decay))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both regularizers."""
    register(Consistency)
    register(LeCam)
