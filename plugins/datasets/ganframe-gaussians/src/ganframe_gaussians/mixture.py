"""Drawing the points of a mixture."""

from __future__ import annotations

import torch

from ganframe.data import Randomness, TensorData
from ganframe_gaussians import GaussianMixture


def draw(config: GaussianMixture) -> TensorData:
    """Draw the points of a split, in memory; the modes alternate."""
    centres = torch.tensor(config.centres())
    label = torch.arange(config.samples) % len(centres)
    noise = Randomness(config.seed).normal(f"gaussian mixture {config.split}", (config.samples, 2))
    return TensorData({"real": centres[label] + config.sigma * noise, "label": label})
