"""The losses on differences of raw outputs C, with -log sigmoid(t) = softplus(-t)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganframe.game import DiscriminatorOutput
from ganframe_relativistic import Cost


class RelativisticPairingLoss(nn.Module):
    """Discriminator: E softplus(C(G(z)) - C(x)). Generator: E softplus(C(x) - C(G(z))).

    The i-th real of a batch is paired with its i-th fake, and patch with patch.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the discriminator minimises."""
        return softplus(fake.logits - real.logits).mean()

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the generator minimises."""
        return softplus(real.logits - fake.logits).mean()


class RelativisticAverageLoss(nn.Module):
    """Discriminator: E h(C(x) - E C(G(z))) + E h(E C(x) - C(G(z))). Generator: the same with the sides exchanged.

    h falls: it is what a difference costs that should be large. Averages are over the logits of a batch, all patches
    included, in float32 at the least.

    Args:
        cost: Which h.
    """

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self.cost: Cost = cost

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the discriminator minimises."""
        return self._ranked(real, fake)

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the generator minimises."""
        return self._ranked(fake, real)

    def _ranked(self, above: DiscriminatorOutput, below: DiscriminatorOutput) -> Tensor:
        high, low = (each.logits.to(torch.promote_types(each.logits.dtype, torch.float32)) for each in (above, below))
        return self._of(high - low.mean()).mean() + self._of(high.mean() - low).mean()

    def _of(self, difference: Tensor) -> Tensor:
        match self.cost:
            case "logistic":
                return softplus(-difference)
            case "least-squares":
                return (difference - 1).square()
            case "hinge":
                return (1 - difference).relu()
