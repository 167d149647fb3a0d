"""Two densities on an interval, and a discriminator that tells them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Densities:
    """The densities of data and samples, and the logits of a discriminator. All are `(points,)`, in float64.

    Attributes:
        x: The points, in order.
        p: The density of the data.
        q: The density of the samples.
        logits: The logits of the discriminator.
    """

    x: Tensor
    p: Tensor
    q: Tensor
    logits: Tensor

    @property
    def discriminator(self) -> Tensor:
        """The probability of real that the discriminator gives."""
        return self.logits.sigmoid()

    @property
    def optimal(self) -> Tensor:
        """The optimal discriminator, p / (p + q); 1/2 where both densities are 0.

        References:
            Goodfellow et al. 2014, arXiv:1406.2661, equation 2.
        """
        total = self.p + self.q
        return torch.where(total > 0, self.p / total, 0.5)

    def value(self) -> float:
        """Return V = E_p log D + E_q log(1 - D), equation 1."""
        return self._integral(self.p * logsigmoid(self.logits) + self.q * logsigmoid(-self.logits))

    def jsd(self) -> float:
        """Return the Jensen-Shannon divergence of the densities, in nats."""
        mean = (self.p + self.q) / 2
        parts = [torch.xlogy(each, each / mean).where(each > 0, 0.0) for each in (self.p, self.q)]
        return self._integral((parts[0] + parts[1]) / 2)

    def error(self) -> float:
        """Return the mean of |D - D*| under (p + q) / 2."""
        return self._integral((self.p + self.q) / 2 * (self.discriminator - self.optimal).abs())

    def _integral(self, values: Tensor) -> float:
        return float(torch.trapezoid(values, self.x))


VALUE_OF_EQUAL_DENSITIES = -2 * math.log(2)
"""The value of the game when the samples have the density of the data and the discriminator is optimal."""
