"""Both losses from logits C, with D = sigmoid(C): -log D = softplus(-C) and -log(1 - D) = softplus(C)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from ganframe.game import SeparableLoss


class NonSaturatingLoss(SeparableLoss):
    """Discriminator: -E log D(x) - E log(1 - D(G(z))). Generator: -E log D(G(z)).

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """

    def real_loss(self, logits: Tensor) -> Tensor:
        """Return -log D."""
        return softplus(-logits)

    def fake_loss(self, logits: Tensor) -> Tensor:
        """Return -log(1 - D)."""
        return softplus(logits)


class MinimaxLoss(NonSaturatingLoss):
    """Discriminator: as in `NonSaturatingLoss`. Generator: +E log(1 - D(G(z))).

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """

    def generator_loss(self, logits: Tensor) -> Tensor:
        """Return log(1 - D)."""
        return -softplus(logits)
