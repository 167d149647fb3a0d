"""Consistency regularization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game import Contest, Round


class Consistent(nn.Module):
    """E||C(x) - C(T(x))||^2 over reals, summed over the contests of the turn.

    The squared norm is over all logits of a sample. C(x) is the verdict that the loss reads; augmentations of the run
    come on top of T.

    Args:
        augmentation: T.
    """

    def __init__(self, augmentation: nn.Module) -> None:
        super().__init__()
        self.augmentation = augmentation

    def forward(self, game_round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        return sum(
            (self._difference(game_round, each) for each in game_round.contests),
            torch.zeros((), device=game_round.device),
        )

    def _difference(self, game_round: Round, contest: Contest) -> Tensor:
        real = game_round.discriminator_output(contest, "real")
        generator = game_round.randomness.generator(f"consistency {contest.name}", game_round.device)
        changed = game_round.discriminate(
            contest.discriminator, self.augmentation(real.sample, generator), real.condition
        )
        difference = _wide(real.logits) - _wide(changed.logits)
        return difference.square().reshape(len(difference), -1).sum(1).mean()


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
