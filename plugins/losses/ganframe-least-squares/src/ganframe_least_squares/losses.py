"""The loss on raw outputs C; there is no sigmoid."""

from __future__ import annotations

from torch import Tensor

from ganframe.game import SeparableLoss


class LeastSquaresLoss(SeparableLoss):
    """Discriminator: 1/2 E(C(x) - 1)^2 + 1/2 E C(G(z))^2. Generator: 1/2 E(C(G(z)) - 1)^2.

    References:
        Mao et al. 2017, arXiv:1611.04076, eq. 2 with a = 0, b = c = 1 (eq. 9).
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return (C - 1)^2 / 2."""
        return (logits - 1).square() / 2

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return C^2 / 2."""
        return logits.square() / 2
