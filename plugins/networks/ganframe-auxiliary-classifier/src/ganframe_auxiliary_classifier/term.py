"""The cross entropy of both sides."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganframe.game import Contest, Round, Side
from ganframe_auxiliary_classifier import AuxiliaryClassification


class CrossEntropy(nn.Module):
    """Discriminator: -E log P(c | x) - E log P(c | G(z, c)). Generator: -E log P(c | G(z, c)).

    P is a softmax over class logits, in at least float32. The costs of the turn's contests are summed.

    Args:
        config: Names of the labels.

    References:
        Odena et al. 2017, arXiv:1610.09585, eq. 3.
    """

    def __init__(self, config: AuxiliaryClassification) -> None:
        super().__init__()
        self.labels: dict[Side, str] = {"real": config.real_label, "fake": config.fake_label}

    def forward(self, game_round: Round) -> Tensor:
        """Return the sum in nats, a scalar >= 0."""
        turn = game_round.turn
        in_discriminator_turn = turn is not None and game_round.game.is_discriminator_turn(turn)
        sides: tuple[Side, ...] = ("real", "fake") if in_discriminator_turn else ("fake",)
        costs = (self._cost(game_round, contest, side) for contest in game_round.contests for side in sides)
        return sum(costs, torch.zeros((), device=game_round.device))

    def _cost(self, game_round: Round, contest: Contest, side: Side) -> Tensor:
        logits = game_round.discriminator_output(contest, side).class_logits
        assert logits is not None, "the objective refuses a discriminator without class logits"
        return cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), game_round[self.labels[side]])
