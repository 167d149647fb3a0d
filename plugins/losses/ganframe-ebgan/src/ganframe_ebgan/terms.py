"""The loss and the pulling-away term."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import override

from ganframe.game import BadInput, Contest, ContestRegularizer, Round, SeparableLoss


class EnergyLoss(SeparableLoss):
    """With energies -C. Discriminator: E(x) + max(0, m - E(G(z))). Generator: E(G(z)).

    Args:
        margin: The paper's m.

    References:
        Zhao et al. 2017, arXiv:1609.03126, eq. 1 and 2.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return E."""
        return -logits

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return max(0, m - E)."""
        return (self.margin + logits).relu()


class PullingAwayTerm(ContestRegularizer):
    """1/(N (N - 1)) sum_{i != j} cos(S_i, S_j)^2 for the features S of N fakes, summed over the contests of the turn.

    It lies in [0, 1] for each contest, and is 0 for a batch of one.

    Args:
        layer: Index of the features; further axes are flattened.

    References:
        Zhao et al. 2017, arXiv:1609.03126, section 2.4.
    """

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    @override
    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        features = game_round.discriminator_output(contest, "fake").features
        if not -len(features) <= self.layer < len(features):
            message = f"the discriminator {contest.discriminator!r} has {len(features)} features, and no {self.layer}"
            raise BadInput(message, path=("layer",))
        return _mean_squared_cosine(features[self.layer])


def _mean_squared_cosine(features: Tensor) -> Tensor:
    wide = features.flatten(1).to(torch.promote_types(features.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):
        directions = normalize(wide)
        squared = (directions @ directions.mT).square()
    count = len(features)
    return (squared.sum() - squared.diagonal().sum()) / max(count * (count - 1), 1)
