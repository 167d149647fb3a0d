"""The loss and the pulling-away term."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ganframe.game import Round, SeparableLoss


class EnergyLoss(SeparableLoss):
    """With energies -C. Discriminator: E(x) + max(0, m - E(G(z))). Generator: E(G(z)).

    Args:
        margin: The paper's m.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def real_loss(self, logits: Tensor) -> Tensor:
        """Cost E."""
        return -logits

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Cost max(0, m - E)."""
        return (self.margin + logits).relu()


class PullingAwayTerm(nn.Module):
    """1/(N (N - 1)) sum_{i != j} cos(S_i, S_j)^2 for the features S of N fakes, summed over the contests of the turn.

    Args:
        layer: Index of the features; further axes are flattened.
    """

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, game_round: Round) -> Tensor:
        """The term, a scalar in [0, 1] for each contest; 0 for a batch of one."""
        features = (
            game_round.discriminator_output(contest, "fake").features[self.layer] for contest in game_round.contests
        )
        return sum(map(_mean_squared_cosine, features), torch.zeros((), device=game_round.device))


def _mean_squared_cosine(features: Tensor) -> Tensor:
    wide = features.flatten(1).to(torch.promote_types(features.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):
        directions = normalize(wide)
        squared = (directions @ directions.mT).square()
    count = len(features)
    return (squared.sum() - squared.diagonal().sum()) / max(count * (count - 1), 1)
