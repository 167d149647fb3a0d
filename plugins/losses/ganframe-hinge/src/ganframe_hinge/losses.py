"""The loss on raw outputs C."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from ganframe.game import SeparableLoss


class HingeLoss(SeparableLoss):
    """Discriminator: E max(0, 1 - C(x)) + E max(0, 1 + C(G(z))). Generator: -E C(G(z)).

    References:
        Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return max(0, 1 - C)."""
        return relu(1 - logits)

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return max(0, 1 + C)."""
        return relu(1 + logits)

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Return -C, which does not stop at the margin."""
        return -logits
