"""The kinds of terms of an objective: losses with their label policies, and regularizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.config.tensor_specs import DataSpec
    from ganframe.game import protocols
    from ganframe.game.discriminator_output import DiscriminatorOutput
    from ganframe.game.game import Game
from ganframe.config.component import Component
from ganframe.config.schedules import ScheduleConfig, Scheduled, value_at
from ganframe.config.settings import RunLength

ZeroCase = Literal[
    "tensors are equal", "samples are equal", "discriminator is constant", "discriminator gradient has norm one"
]
"""Cases in which a regularizer can be 0 by theory: all tensors that it reads are equal; all samples of a batch are
equal; the logits are constant; the gradient of the logits with respect to the sample has norm 1 everywhere."""


def non_empty(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `names`; refuse an empty tuple with a ValueError."""
    if not names:
        raise ValueError("name at least one here, or leave this out")
    return names


class LabelPolicyConfig(Component):
    """A change to the labels that a discriminator is trained towards (targets), such as label smoothing."""

    kind: ClassVar[str] = "label policy"

    def build(self) -> protocols.LabelPolicy:
        """Build the label policy."""
        raise NotImplementedError


class TermConfig(Component):
    """A loss or regularizer: a scalar that is added to the objective of an optimizer step."""

    weight: Scheduled = 1.0
    """Factor by which the term is multiplied in the objective; a number or a schedule."""
    every: int = Field(default=1, ge=1)
    """Interval k of a lazy term, which takes part only in each k-th turn, with k times its weight."""
    turns: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the turns (optimizer steps) in which the term takes part. If left out, a loss takes part in the turns of
    its contests, and a regularizer in those of discriminators, of other players, or both, depending on its type."""
    contests: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the contests (pairs of real and fake tensors) that the term reads; all contests if left out."""
    from_images: int = Field(default=0, ge=0)
    """Number of real examples seen when the term begins. Before that it is not computed."""
    until_images: int | None = Field(default=None, ge=1)
    """Number of real examples seen when the term ends; never if left out."""
    requires_outputs: ClassVar[frozenset[str]] = frozenset()
    """Names of the discriminator outputs, other than logits, that the term reads: `features`, `class_logits`."""
    batch_coupled: ClassVar[bool] = False
    """Whether the term is more than a mean over examples, so that each device must compute it over the examples of all
    devices."""

    @model_validator(mode="after")
    def _check_interval(self) -> Self:
        if self.until_images is not None and self.until_images <= self.from_images:
            raise ValueError(f"the term ends at {self.until_images} images, before it begins at {self.from_images}")
        return self

    def idle(self, length: RunLength) -> Mapping[str, str]:
        """Return the settings because of which the term never takes part, each with the reason."""
        found: dict[str, str] = {}
        extremes = self.weight.extremes() if isinstance(self.weight, ScheduleConfig) else (self.weight, self.weight)
        if extremes == (0, 0):
            found["weight"] = "is 0, so the term never takes part"
        if self.from_images >= length.images:
            found["from_images"] = f"lies beyond the end of the run, {length.images:,}, so the term never takes part"
        return found

    def is_active(self, turn_count: int, images: int, total: int) -> bool:
        """Return whether the term takes part in a turn (optimizer step).

        It takes part between `from_images` and `until_images`, in each `every`-th turn, while its weight is not 0.

        Args:
            turn_count: How often the turn was taken before.
            images: Real examples seen before this step.
            total: Real examples of the whole run.
        """
        has_begun = images >= self.from_images
        has_ended = self.until_images is not None and images >= self.until_images
        if turn_count % self.every or not has_begun or has_ended:
            return False
        return value_at(self.weight, images, total) != 0

    def check(self, game: Game) -> None:
        """Refuse a game that lacks something that the term needs.

        The core already checks the needs that class attributes and `tensors()` declare. Override this for others.

        Args:
            game: The game, before its networks are built; `game.player_specs()` lists them.

        Raises:
            BadInput: When the game lacks something. The error's `path` leads to a setting, relative to this config.
        """


class LossConfig(TermConfig):
    """An adversarial loss: for each contest (pair of real and fake tensors), a discriminator and a generator loss."""

    kind: ClassVar[str] = "loss"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "label_policies"}
    takes_targets: ClassVar[bool] = True
    """Whether the loss uses the targets of an output, so that label policies can soften or flip them."""
    higher_is_real: ClassVar[bool] = True
    """Whether larger logits mean more real; False for a loss that only compares whole batches."""
    decision_threshold: ClassVar[float | None] = 0.0
    """The logit above which a sample counts as real; None if the loss has no such threshold."""
    label_policies: tuple[LabelPolicyConfig, ...] = ()
    """Label policies, which are applied to the discriminator's targets in this order."""

    def example_output(self, logits: Tensor) -> DiscriminatorOutput | None:
        """Return a discriminator output with these logits `(B,)`, with which the conformance kit tests the loss.

        If None, the kit makes features, sample and class logits from the logits. A loss that needs other shapes must
        override this.
        """
        return None

    def build(self) -> protocols.Loss:
        """Build the loss."""
        raise NotImplementedError


class RegularizerConfig(TermConfig):
    """Any term that is not an adversarial loss: a gradient penalty, a cycle loss, a distance, a diversity."""

    kind: ClassVar[str] = "regularizer"
    side: ClassVar[Literal["discriminator", "generator", "both"]] = "generator"
    """The turns (optimizer steps) in which the term takes part by default: of discriminators, of others, or both."""
    grad_wrt_sides: ClassVar[frozenset[Literal["real", "fake"]]] = frozenset()
    """The sides with respect to whose samples the term differentiates the logits: `real` for R1, `fake` for R2."""
    needs_double_backward: ClassVar[bool] = False
    """Whether the term differentiates with respect to samples that it makes, such as points between reals and fakes."""
    requires_methods: ClassVar[frozenset[str]] = frozenset()
    """Names of generator methods that the term calls, such as `log_prob`; the generators' `provides` must name them."""
    zero_when: ClassVar[ZeroCase | None] = None
    """A case in which the term must be 0 by theory, for the conformance kit; None if there is none."""

    def tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the term reads."""
        return ()

    def requires_grad_tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors with respect to which the term differentiates."""
        return ()

    def example_specs(self) -> DataSpec:
        """Return the specs, by name, of the tensors with which the conformance kit tests the term.

        Tensors that are left out are images, or class labels if the name is `label`.
        """
        return {}

    def build(self) -> protocols.Regularizer:
        """Build the regularizer."""
        raise NotImplementedError
