"""The loss on the critic's raw outputs C."""

from __future__ import annotations

from torch import Tensor

from ganframe.game import SeparableLoss


class WassersteinLoss(SeparableLoss):
    """Critic: E C(G(z)) - E C(x). Generator: -E C(G(z)).

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, eq. 2.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return -C."""
        return -logits

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return C."""
        return logits
