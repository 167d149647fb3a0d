"""Consistency regularization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game.contest import Contest
from ganframe.game.round import Round


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

    def forward(self, round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        return sum((self._difference(round, each) for each in round.contests), torch.zeros((), device=round.device))

    def _difference(self, round: Round, contest: Contest) -> Tensor:
        real = round.verdict(contest, "real")
        generator = round.randomness.generator(f"consistency {contest.name}", round.device)
        changed = round.judge(contest.discriminator, self.augmentation(real.sample, generator), real.condition)
        difference = _wide(real.logits) - _wide(changed.logits)
        return difference.square().reshape(len(difference), -1).sum(1).mean()


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
