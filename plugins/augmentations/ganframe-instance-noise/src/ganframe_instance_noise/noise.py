"""The live augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game import Sample, map_parts


class Noise(nn.Module):
    """x + sigma e with e from N(0, 1), drawn anew for each number.

    Args:
        sigma: Standard deviation of the noise.

    References:
        Arjovsky and Bottou 2017, arXiv:1701.04862, section 3; Sonderby et al. 2017, arXiv:1610.04490, section 3.2.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Return the sample with noise, in its own dtype; each part of a tuple has noise of its own."""
        if self.sigma == 0:
            return sample

        def add_noise(part: Tensor) -> Tensor:
            noise = torch.randn(part.shape, generator=generator, device=part.device, dtype=part.dtype)
            return part + self.sigma * noise

        return map_parts(sample, add_noise)
