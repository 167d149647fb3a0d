"""Changes to targets `(B,)` in [0, 1]; each example draws for itself."""

from __future__ import annotations

import torch
from torch import Tensor


class Flipping:
    """t becomes 1 - t with a fixed probability.

    Args:
        probability: The chance, in [0, 1].
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Targets of which a random share is flipped."""
        flipped = _uniform(target, generator) < self.probability
        return torch.where(flipped, 1 - target, target)


class Softening:
    """0 and 1 become uniform draws from two ranges; a target t between them becomes their mixture.

    It is the target that chooses the range, not the side: one that was flipped before stays flipped.

    Args:
        fake: Range for 0.
        real: Range for 1.
    """

    def __init__(self, fake: tuple[float, float], real: tuple[float, float]) -> None:
        self.fake, self.real = fake, real

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Soft targets."""
        draw = _uniform(target, generator)
        low, high = (start + (end - start) * draw for start, end in (self.fake, self.real))
        return (1 - target) * low + target * high


class Smoothing:
    """A target t becomes alpha t on the side of the reals, and stays on that of the fakes.

    It is the side that chooses: a fake whose target was flipped to 1 keeps it.

    Args:
        alpha: The factor, in [0, 1].
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Targets, smoothed on one side."""
        return self.alpha * target if real else target


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
