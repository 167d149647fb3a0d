"""Consistency regularization."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganframe.game import Contest, ContestRegularizer, Round


class ConsistencyPenalty(ContestRegularizer):
    """E||C(x) - C(T(x))||^2 over reals, summed over the contests of the turn.

    The squared norm is over all logits of a sample. C(x) is the output that the loss reads; augmentations of the run
    come on top of T.

    Args:
        augmentation: T.

    References:
        Zhang et al. 2020, arXiv:1910.12027.
    """

    def __init__(self, augmentation: nn.Module) -> None:
        super().__init__()
        self.augmentation = augmentation

    @override
    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        real = game_round.discriminator_output(contest, "real")
        generator = game_round.randomness.generator(f"consistency {contest.name}", game_round.device)
        augmented = game_round.discriminate(
            contest.discriminator, self.augmentation(real.sample, generator), real.condition
        )
        difference = _at_least_float32(real.logits) - _at_least_float32(augmented.logits)
        return difference.square().reshape(len(difference), -1).sum(1).mean()


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
