"""The kinds of terms of an objective: losses with their label policies, and regularizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

if TYPE_CHECKING:
    from ganframe.game import protocols
    from ganframe.game.game import Game
from ganframe.config.component import Component
from ganframe.config.schedules import Scheduled, value_at

ZeroCase = Literal[
    "tensors are equal", "samples are equal", "discriminator is constant", "discriminator gradient has norm one"
]
"""Cases in which a regularizer may vanish: all tensors that it reads are the same; the samples of a batch are all the
same; the discriminator's logits are constant; their gradient has norm 1 everywhere."""


def non_empty(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Reject an empty list."""
    if not names:
        raise ValueError("name at least one here, or leave this out")
    return names


class LabelPolicyConfig(Component):
    """A change to the targets that the discriminator is trained towards."""

    kind: ClassVar[str] = "label policy"

    def build(self) -> protocols.LabelPolicy:
        """Make the policy."""
        raise NotImplementedError


class TermConfig(Component):
    """Something that adds a scalar to the objective of a turn."""

    weight: Scheduled = 1.0
    """Factor of the term in the objective; a number or a schedule."""
    every: int = Field(default=1, ge=1)
    """Interval k of a lazy term: it joins each k-th turn only, with its weight times k."""
    turns: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the turns that the term joins; by default those of a regularizer's side, or of a loss's contests."""
    contests: Annotated[tuple[str, ...], AfterValidator(non_empty)] | None = None
    """Names of the contests that the term reads; all of the game's when left out."""
    from_images: int = Field(default=0, ge=0)
    """Images seen when the term begins; before that it is not computed."""
    until_images: int | None = Field(default=None, ge=1)
    """Images seen when the term ends; the end of the run when left out."""
    requires_outputs: ClassVar[frozenset[str]] = frozenset()
    """Discriminator outputs that the term reads beside logits: `features`, `class_logits`."""
    batch_coupled: ClassVar[bool] = False
    """Whether the term is more than a mean over examples; each device then computes it over the examples of all."""

    @model_validator(mode="after")
    def _check_interval(self) -> Self:
        if self.until_images is not None and self.until_images <= self.from_images:
            raise ValueError(f"the term ends at {self.until_images} images, before it begins at {self.from_images}")
        return self

    def is_active(self, turn_count: int, images: int, total: int) -> bool:
        """Return whether the term takes part in a turn.

        A term takes part between `from_images` and `until_images`, each `every`-th time, while its weight is not 0.

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
        """Refuse a game that lacks what the term needs, beyond what its class and `tensors()` declare.

        Args:
            game: The game, before its networks are built; `game.player_specs()` lists them.

        Raises:
            BadInput: With the path of the setting, from this config on.
        """


class LossConfig(TermConfig):
    """An adversarial loss: a scalar for each contest, in the discriminator's turn and in the generators' turns."""

    kind: ClassVar[str] = "loss"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "label_policies"}
    takes_targets: ClassVar[bool] = True
    """Whether the discriminator's side follows soft or flipped targets."""
    higher_is_real: ClassVar[bool] = True
    """Whether larger logits mean more real; False for a loss that compares sets."""
    decision_threshold: ClassVar[float | None] = 0.0
    """The logit above which a sample counts as real; None if the loss has none."""
    label_policies: tuple[LabelPolicyConfig, ...] = ()
    """Label policies, applied in order to the discriminator's targets."""

    def build(self) -> protocols.Loss:
        """Make the loss."""
        raise NotImplementedError


class RegularizerConfig(TermConfig):
    """Any other term: a gradient penalty, a cycle, a distance, a diversity."""

    kind: ClassVar[str] = "regularizer"
    side: ClassVar[Literal["discriminator", "generator", "both"]] = "generator"
    """Whether the term belongs to the turns of discriminators, of the other players, or of both."""
    grad_wrt_sides: ClassVar[frozenset[Literal["real", "fake"]]] = frozenset()
    """The contest sides whose samples the term differentiates by."""
    needs_double_backward: ClassVar[bool] = False
    """Whether the term differentiates by samples of its own, such as points between reals and fakes."""
    requires_methods: ClassVar[frozenset[str]] = frozenset()
    """Methods of generators that the term calls, such as `log_prob`; their `provides` must name them."""
    zero_when: ClassVar[ZeroCase | None] = None
    """A case in which the term is 0 by theory; the conformance kit tries it."""

    def tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the term reads from the round."""
        return ()

    def requires_grad_tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the term differentiates by; the round makes them require a gradient."""
        return ()

    def build(self) -> protocols.Regularizer:
        """Make the regularizer."""
        raise NotImplementedError
