"""The negative log-likelihood of a generator with a density."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Round


class NegativeLogLikelihoodTerm(nn.Module):
    """-E log p(x) / D in nats, for samples of D numbers.

    Args:
        player: Name of the player with the method `log_prob(sample, condition=None) -> (B,)`.
        sample: Name of the tensor x.
        condition: Name of the tensor of conditions; None if there are none.

    References:
        Grover et al. 2018, arXiv:1705.08868 (Flow-GAN); per dimension as in Dinh et al. 2017, arXiv:1605.08803.
    """

    def __init__(self, player: str, sample: str, condition: str | None) -> None:
        super().__init__()
        self.player, self.sample, self.condition = player, sample, condition

    def forward(self, game_round: Round) -> Tensor:
        """Return the mean negative log-likelihood per number, a scalar.

        Raises:
            BadInput: When the density is not one number for each example.
        """
        player: Any = game_round.game.players[self.player]
        sample: Tensor = game_round[self.sample]
        condition = () if self.condition is None else (game_round[self.condition],)
        log_prob: Tensor = player.log_prob(sample, *condition)
        if log_prob.shape != sample.shape[:1]:
            message = f"`log_prob` of {self.player!r} gives {tuple(log_prob.shape)}, not one number for each example"
            raise BadInput(message, path=("regularizers",))
        wide = log_prob.to(torch.promote_types(log_prob.dtype, torch.float32))
        return -wide.mean() / sample[0].numel()
