"""The loss on raw outputs C."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from ganframe.game import SeparableLoss


class HingeLoss(SeparableLoss):
    """Discriminator: E max(0, 1 - C(x)) + E max(0, 1 + C(G(z))). Generator: -E C(G(z))."""

    def real_loss(self, logits: Tensor) -> Tensor:
        """Cost max(0, 1 - C)."""
        return relu(1 - logits)

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Cost max(0, 1 + C)."""
        return relu(1 + logits)

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Cost -C, which does not stop at the margin."""
        return -logits
