"""Drawing the numbers of a Gaussian, and its density."""

from __future__ import annotations

import math

from torch import Tensor

from ganframe.data import Randomness, TensorData
from ganframe_gaussians import Gaussian


def draw(config: Gaussian) -> TensorData:
    """Draw the numbers of a split, in memory."""
    noise = Randomness(config.seed).normal(f"gaussian {config.split}", (config.samples, 1))
    return TensorData({"real": config.mean + config.sigma * noise})


def density(config: Gaussian, x: Tensor) -> Tensor:
    """Return the density of the Gaussian at `x`, of the same shape."""
    deviation = (x - config.mean) / config.sigma
    return (-deviation.square() / 2).exp() / (config.sigma * math.sqrt(2 * math.pi))
