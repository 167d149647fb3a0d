"""Changes to targets `(B,)` in [0, 1]; each example has a draw of its own."""

from __future__ import annotations

import torch
from torch import Tensor


class Flipping:
    """Replaces a target t by 1 - t with a fixed probability.

    Args:
        probability: The probability, in [0, 1].

    References:
        Chintala et al. 2016, How to Train a GAN?, NIPS workshop talk, tip 6.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Return targets of which a random share is flipped."""
        flipped = _uniform(target, generator) < self.probability
        return torch.where(flipped, 1 - target, target)


class Softening:
    """Replaces 0 and 1 by uniform draws from two ranges, and a target t between 0 and 1 by a mixture of both draws.

    The target selects the range, not the side: a target that was flipped before stays flipped.

    Args:
        fake: Range for 0.
        real: Range for 1.

    References:
        Chintala et al. 2016, How to Train a GAN?, tip 6, after Salimans et al. 2016, arXiv:1606.03498, section 3.4.
    """

    def __init__(self, fake: tuple[float, float], real: tuple[float, float]) -> None:
        self.fake, self.real = fake, real

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Return soft targets."""
        draw = _uniform(target, generator)
        low, high = (start + (end - start) * draw for start, end in (self.fake, self.real))
        return (1 - target) * low + target * high


class Smoothing:
    """Replaces a target t by alpha t on the real side; the fake side stays as it is.

    The side decides, not the target: a fake whose target was flipped to 1 keeps the target 1.

    Args:
        alpha: The factor, in [0, 1].

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.4.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, target: Tensor, real: bool, generator: torch.Generator) -> Tensor:
        """Return the targets, smoothed on the real side."""
        return self.alpha * target if real else target


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
