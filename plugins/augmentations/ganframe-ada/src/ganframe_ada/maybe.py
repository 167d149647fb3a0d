"""Draws of parameters that are 0 where a transformation is not taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomParameters:
    """Parameters for a batch: for each sample a draw with the probability p, and 0 otherwise.

    Attributes:
        batch: How many samples there are.
        p: The probability, a scalar tensor.
        generator: Where the draws come from.
    """

    batch: int
    p: Tensor
    generator: torch.Generator

    def with_p(self, p: Tensor) -> RandomParameters:
        """Draws with another probability."""
        return replace(self, p=p)

    def limited(self, on: bool) -> RandomParameters:
        """These draws, or none at all."""
        return self if on else self.with_p(torch.zeros_like(self.p))

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        """`(batch, *size)` from U[low, high)."""
        return self._if_taken(low + (high - low) * self._rand(*size))

    def integer(self, count: int) -> Tensor:
        """`(batch,)` from 0, 1, ..., count - 1, as floats."""
        return self._if_taken((count * self._rand()).floor())

    def normal(self, deviation: float, *size: int) -> Tensor:
        """`(batch, *size)` from N(0, deviation^2)."""
        device = self.generator.device
        return self._if_taken(deviation * torch.randn(self.batch, *size, generator=self.generator, device=device))

    def _rand(self, *size: int) -> Tensor:
        return torch.rand(self.batch, *size, generator=self.generator, device=self.generator.device)

    def _if_taken(self, values: Tensor) -> Tensor:
        taken = self._rand() < self.p
        return torch.where(taken.reshape(-1, *(1,) * (values.ndim - 1)), values, 0.0)
