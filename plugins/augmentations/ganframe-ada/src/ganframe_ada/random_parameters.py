"""Random parameters, which are 0 for samples to which a transformation is not applied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomParameters:
    """Draws parameters for a batch: for each sample a random number with the probability p, and 0 otherwise.

    Attributes:
        batch: Number of samples, B.
        p: The probability, a scalar tensor.
        generator: The generator of the draws.
    """

    batch: int
    p: Tensor
    generator: torch.Generator

    def with_p(self, p: Tensor) -> RandomParameters:
        """Return the same source of parameters with another probability."""
        return replace(self, p=p)

    def only_if(self, applied: bool) -> RandomParameters:
        """Return the same source of parameters, with the probability 0 unless `applied`."""
        return self if applied else self.with_p(torch.zeros_like(self.p))

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        """Draw `(B, *size)` from U[low, high)."""
        return self._with_probability(low + (high - low) * self._rand(*size))

    def integer(self, count: int) -> Tensor:
        """Draw `(B,)` from 0, 1, ..., count - 1, as floats."""
        return self._with_probability((count * self._rand()).floor())

    def normal(self, deviation: float, *size: int) -> Tensor:
        """Draw `(B, *size)` from N(0, deviation^2)."""
        device = self.generator.device
        return self._with_probability(
            deviation * torch.randn(self.batch, *size, generator=self.generator, device=device)
        )

    def _rand(self, *size: int) -> Tensor:
        return torch.rand(self.batch, *size, generator=self.generator, device=self.generator.device)

    def _with_probability(self, values: Tensor) -> Tensor:
        applied = self._rand() < self.p
        return torch.where(applied.reshape(-1, *(1,) * (values.ndim - 1)), values, 0.0)
