"""The live augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ganframe.game import Sample


class Noise(nn.Module):
    """x + sigma e with e from N(0, 1), drawn anew for each number.

    Args:
        sigma: Standard deviation of the noise.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The sample with noise, in its own dtype; each part of a tuple has noise of its own."""
        if self.sigma == 0:
            return sample
        if isinstance(sample, tuple):
            return tuple(self._noisy(part, generator) for part in sample)
        return self._noisy(sample, generator)

    def _noisy(self, part: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(part.shape, generator=generator, device=part.device, dtype=part.dtype)
        return part + self.sigma * noise
