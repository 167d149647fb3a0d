"""A generator with a density in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class AffineGaussian(nn.Module):
    """N(mu, L L^T) over D numbers; L is triangular with the diagonal exp(log_scale).

    Args:
        shape: Shape of a sample; D is its size.
        scale: Standard deviation of each number at the start.

    Attributes:
        latent_shape: `(D,)`.

    References:
        Rezende and Mohamed 2015, arXiv:1505.05770: a flow of one affine layer.
    """

    def __init__(self, shape: tuple[int, ...], scale: float) -> None:
        super().__init__()
        size = math.prod(shape)
        self.shape, self.latent_shape = shape, (size,)
        # Not 0, so that the seed of the run matters to the initialisation.
        self.mean = nn.Parameter(0.01 * scale * torch.randn(size))
        self.log_scale = nn.Parameter(torch.full((size,), math.log(scale)))
        self.mixing = nn.Parameter(torch.zeros(size, size))
        """Below its diagonal, L with each row divided by the row's entry on the diagonal."""

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return samples `(B, *shape)` for latents `(B, D)`."""
        mixed = latent + latent @ self.mixing.tril(-1).T
        return (self.mean + self.log_scale.exp() * mixed).unflatten(1, self.shape)

    def log_prob(self, sample: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return log-densities `(B,)` in nats of samples `(B, *shape)`, in float32 or better."""
        with torch.autocast(sample.device.type, enabled=False):
            flat = sample.flatten(1).to(self.mean.dtype)
            scaled = (flat - self.mean) * torch.exp(-self.log_scale)
            triangle = self.mixing.tril(-1) + torch.eye(len(self.mean), device=flat.device, dtype=flat.dtype)
            latent = torch.linalg.solve_triangular(triangle, scaled.T, upper=False, unitriangular=True).T
            squared = latent.square().sum(1)
            return -squared / 2 - self.log_scale.sum() - len(self.mean) * math.log(2 * math.pi) / 2
