"""Label policies: changes to the targets of the discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from typing_extensions import override

from ganframe.config import Bounds, Component, LabelPolicyConfig, Scheduled, hookimpl, initial_value

if TYPE_CHECKING:
    from ganframe.game import LabelPolicy


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if low > high:
        raise ValueError(f"the lower bound {low} is above the upper bound {high}")
    return bounds


Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[Share, Share], AfterValidator(_ordered)]


class LabelFlipping(LabelPolicyConfig):
    """Flips a random share of the discriminator's targets."""

    paper = "Chintala et al. 2016, How to Train a GAN?, NIPS workshop talk, tip 6"
    type: Literal["label-flipping"] = "label-flipping"
    probability: Annotated[Scheduled, Bounds(ge=0, le=1)] = 0.05
    """Chance that the target t of an example becomes 1 - t, in [0, 1]."""

    @override
    def build(self) -> LabelPolicy:
        from ganframe_label_policies.policies import Flipping

        return Flipping(initial_value(self.probability))


class SoftLabels(LabelPolicyConfig):
    """Draws each target near 0 or 1."""

    paper = (
        "Chintala et al. 2016, How to Train a GAN?, tip 6; after Salimans et al. 2016, arXiv:1606.03498, section 3.4"
    )
    type: Literal["soft-labels"] = "soft-labels"
    fake: Range = (0.0, 0.2)
    """Bounds of the uniform draw that stands for the target 0, each in [0, 1]."""
    real: Range = (0.8, 1.0)
    """Bounds of the uniform draw that stands for the target 1, each in [0, 1]."""

    @override
    def build(self) -> LabelPolicy:
        from ganframe_label_policies.policies import Softening

        return Softening(self.fake, self.real)


class OneSidedSmoothing(LabelPolicyConfig):
    """Lowers the targets of reals and leaves those of fakes unchanged."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.4"
    type: Literal["one-sided-smoothing"] = "one-sided-smoothing"
    alpha: Annotated[Scheduled, Bounds(ge=0, le=1)] = 0.9
    """New target of reals in place of 1 (the paper's alpha), in [0, 1]; a number or a schedule."""

    @override
    def build(self) -> LabelPolicy:
        from ganframe_label_policies.policies import Smoothing

        return Smoothing(initial_value(self.alpha))


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register each policy."""
    register(LabelFlipping)
    register(SoftLabels)
    register(OneSidedSmoothing)
