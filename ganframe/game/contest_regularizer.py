"""Base class of regularizers that are a sum over contests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game.contest import Contest
from ganframe.game.round import Round


class ContestRegularizer(nn.Module):
    """A regularizer that sums a penalty over the contests (pairs of real and fake tensors) of the current turn.

    Subclasses implement `penalty`.
    """

    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        """Return the penalty for one contest, a scalar."""
        raise NotImplementedError

    def forward(self, game_round: Round) -> Tensor:
        """Return the sum of `penalty` over the contests of the turn, a scalar."""
        penalties = (self.penalty(game_round, contest) for contest in game_round.contests)
        return sum(penalties, torch.zeros((), device=game_round.device))
