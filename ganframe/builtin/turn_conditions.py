"""Configs of turn conditions, which decide in each training step whether a turn (optimizer step) is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from ganframe.config.component_kinds import TurnConditionConfig
from ganframe.config.schedules import Bounds, Scheduled, initial_value
from ganframe.errors import BadInput

if TYPE_CHECKING:
    from ganframe.game.game import Game
    from ganframe.game.protocols import TurnCondition


class EveryKthStep(TurnConditionConfig):
    """Take the turn (optimizer step) in each k-th training step only, beginning with the first."""

    type: Literal["every"] = "every"
    steps: PositiveInt = 2
    """The interval k."""

    @override
    def build(self) -> TurnCondition:
        from ganframe.builtin.live_turn_conditions import EveryKthStepCondition

        return EveryKthStepCondition(self.steps)


class Probability(TurnConditionConfig):
    """Take the turn (optimizer step) with a probability, drawn independently in each training step."""

    type: Literal["probability"] = "probability"
    p: Annotated[Scheduled, Bounds(ge=0, le=1)] = 0.5
    """The probability, in [0, 1]; a number or a schedule."""

    @override
    def build(self) -> TurnCondition:
        from ganframe.builtin.live_turn_conditions import ProbabilityCondition

        return ProbabilityCondition(initial_value(self.p))


class DiscriminatorAccuracy(TurnConditionConfig):
    """Take the turn (optimizer step) only if the discriminator's accuracy on its reals and fakes is within bounds.

    Professor forcing trains its discriminator unless the accuracy is above 99%, and uses it to train the generator only
    if the accuracy is above 75%.
    """

    paper = "Lamb et al. 2016, arXiv:1610.09038, section 3.3"
    type: Literal["discriminator-accuracy"] = "discriminator-accuracy"
    contest: str = "discriminator"
    """Name of the contest whose discriminator is measured."""
    at_least: float = Field(default=0.0, ge=0, le=1)
    """Minimum accuracy at which the turn is taken, in [0, 1]."""
    at_most: float = Field(default=1.0, ge=0, le=1)
    """Maximum accuracy at which the turn is taken, in [0, 1]."""
    threshold: float = 0.0
    """The logit above which a sample counts as real."""

    @model_validator(mode="after")
    def _check_bounds(self) -> DiscriminatorAccuracy:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least is {self.at_least:g}, above at_most, {self.at_most:g}")
        return self

    @override
    def check(self, game: Game) -> None:
        names = [contest.name for contest in game.contests]
        if self.contest not in names:
            message = f"the game has no contest {self.contest!r}; it has: {', '.join(names) or 'none'}"
            raise BadInput(message, path=("contest",))

    @override
    def build(self) -> TurnCondition:
        from ganframe.builtin.live_turn_conditions import DiscriminatorAccuracyCondition

        return DiscriminatorAccuracyCondition(self)
