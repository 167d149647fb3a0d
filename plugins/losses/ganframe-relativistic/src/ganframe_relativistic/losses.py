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

    References:
        Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, eq. 2.
    """

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        return softplus(fake.logits - real.logits).mean()

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generator minimises."""
        return softplus(real.logits - fake.logits).mean()


class RelativisticAverageLoss(nn.Module):
    """Discriminator: E h(C(x) - E C(G(z))) + E h(E C(x) - C(G(z))). Generator: the same with the sides exchanged.

    h(t) is the cost of a difference t that should be large. Averages are over the logits of a batch, all patches
    included, at least in float32.

    Args:
        cost: Which h.

    References:
        Jolicoeur-Martineau 2019, arXiv:1807.00734.
    """

    def __init__(self, cost: Cost) -> None:
        super().__init__()
        self.cost: Cost = cost

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        return self._ranked(real, fake)

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the scalar that the generator minimises."""
        return self._ranked(fake, real)

    def _ranked(self, above: DiscriminatorOutput, below: DiscriminatorOutput) -> Tensor:
        high, low = _at_least_float32(above.logits), _at_least_float32(below.logits)
        return self._h(high - low.mean()).mean() + self._h(high.mean() - low).mean()

    def _h(self, difference: Tensor) -> Tensor:
        match self.cost:
            case "logistic":
                return softplus(-difference)
            case "least-squares":
                return (difference - 1).square()
            case "hinge":
                return (1 - difference).relu()


def _at_least_float32(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
