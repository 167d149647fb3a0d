"""Turn conditions, which decide in each training step whether a turn (optimizer step) is taken."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.builtin.turn_conditions import DiscriminatorAccuracy
from ganframe.distributed.collectives import mean_over_ranks
from ganframe.game.round import Round


class EveryKthStepCondition:
    """A turn condition that is met in each k-th training step.

    Args:
        steps: The interval k.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Return whether the number of completed steps is a multiple of the interval."""
        return step % self.steps == 0


class ProbabilityCondition:
    """A turn condition that is met at random.

    Args:
        p: The probability, in [0, 1].
    """

    def __init__(self, p: float) -> None:
        self.p = p

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Draw whether to take the turn. The draw is the same on every rank."""
        return rounds[0].randomness.unsharded().draw("turn condition") < self.p


class DiscriminatorAccuracyCondition:
    """A turn condition that is met while the accuracy of a discriminator is between two bounds.

    Args:
        config: The contest and the bounds.
    """

    def __init__(self, config: DiscriminatorAccuracy) -> None:
        self.config = config

    def is_met(self, rounds: Sequence[Round], step: int) -> bool:
        """Return whether the accuracy over these batches, on all ranks, is within the bounds."""
        shares = torch.stack([self._share_right(game_round) for game_round in rounds])
        accuracy = float(mean_over_ranks(shares.mean()))
        return self.config.at_least <= accuracy <= self.config.at_most

    def _share_right(self, game_round: Round) -> Tensor:
        """Return the mean of the accuracies on reals and on fakes, a scalar."""
        contest = next(found for found in game_round.game.contests if found.name == self.config.contest)
        real = game_round.discriminator_output(contest, "real").logits
        fake = game_round.discriminator_output(contest, "fake").logits
        right_on_real = (real > self.config.threshold).float().mean()
        return (right_on_real + (fake < self.config.threshold).float().mean()) / 2
