"""The live balancers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ganframe_balancers import AdaptiveWeight, GradientBalancer

EPS = 1e-12
"""Added to a norm before it divides."""


class AdaptiveWeightBalancer(nn.Module):
    """Scales the adversarial terms to the gradient of the reconstruction terms.

    Args:
        config: The terms and the bounds.
    """

    def __init__(self, config: AdaptiveWeight) -> None:
        super().__init__()
        self.config = config

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the weights of the adversarial terms; none if no term of one of the two groups takes part."""
        scaled = [name for name in self.config.terms if name in gradients]
        reference = [name for name in self.config.reference_terms if name in gradients]
        if not scaled or not reference:
            return {}
        ratio = _norm_of_sum(gradients, weights, reference) / (
            _norm_of_sum(gradients, weights, scaled) + self.config.delta
        )
        factor = ratio.clamp(0, self.config.max)
        return {name: weights[name] * factor for name in scaled}


class NormBalancer(nn.Module):
    """Gives each term its share of the gradient, by a moving average of the norm of its gradient.

    Args:
        config: The terms and the decay.
    """

    norms: Tensor
    counts: Tensor

    def __init__(self, config: GradientBalancer) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("norms", torch.zeros(len(config.terms), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(config.terms), dtype=torch.float64))

    def forward(self, gradients: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Update the averages of the terms that take part, and return the weights of these terms."""
        total = sum(weights[name] for name in gradients)
        balanced: dict[str, Tensor] = {}
        for index, name in enumerate(self.config.terms):
            if name not in gradients:
                continue
            norm = gradients[name].flatten(1).norm(dim=1).mean()  # (B, ...) -> scalar
            self.norms[index] = self.config.decay * self.norms[index] + norm
            self.counts[index] = self.config.decay * self.counts[index] + 1
            average = self.norms[index] / self.counts[index]
            share = self.config.total_norm * weights[name] / total
            balanced[name] = (share / (average + EPS)).to(norm.dtype)
        return balanced


def _norm_of_sum(gradients: Mapping[str, Tensor], weights: Mapping[str, float], names: Iterable[str]) -> Tensor:
    """Return the norm of the weighted sum of some gradients, a scalar."""
    return torch.stack([weights[name] * gradients[name] for name in names]).sum(0).norm()
