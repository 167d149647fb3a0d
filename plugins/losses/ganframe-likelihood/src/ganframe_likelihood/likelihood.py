"""The live regularizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Round


class Unlikelihood(nn.Module):
    """-E log p(x) / D in nats, D the numbers of one example.

    Args:
        player: Name of the player with the method `log_prob(sample, condition=None) -> (B,)`.
        sample: Name of the tensor x.
        condition: Name of the tensor of conditions; None where there are none.
    """

    def __init__(self, player: str, sample: str, condition: str | None) -> None:
        super().__init__()
        self.player, self.sample, self.condition = player, sample, condition

    def forward(self, game_round: Round) -> Tensor:
        """The mean negative log-likelihood per number, a scalar.

        Raises:
            BadInput: When the density is not one number an example.
        """
        player: Any = game_round.game.players[self.player]
        sample: Tensor = game_round[self.sample]
        given = () if self.condition is None else (game_round[self.condition],)
        log_prob: Tensor = player.log_prob(sample, *given)
        if log_prob.shape != sample.shape[:1]:
            message = f"`log_prob` of {self.player!r} gives {tuple(log_prob.shape)}, not one number for each example"
            raise BadInput(message, path=("regularizers",))
        wide = log_prob.to(torch.promote_types(log_prob.dtype, torch.float32))
        return -wide.mean() / sample[0].numel()
