"""The loss on the critic's raw outputs C."""

from __future__ import annotations

from torch import Tensor

from ganframe.game import SeparableLoss


class WassersteinLoss(SeparableLoss):
    """Critic: E C(G(z)) - E C(x). Generator: -E C(G(z))."""

    def real_loss(self, logits: Tensor) -> Tensor:
        """Cost -C."""
        return -logits

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Cost C."""
        return logits
