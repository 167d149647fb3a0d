"""Path length regularization."""

from __future__ import annotations

import math

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe import Run, hookimpl
from ganframe.game import Round, Turn, mean_over_ranks

LAYERED_NDIM = 3
"""Axes of a latent with a style for each layer: batch, layer, dimension."""


class PathLengthPenalty(nn.Module):
    """E(||J^T y|| - a)^2 with y ~ N(0, I) / sqrt(H W), and a the running mean of ||J^T y||.

    The square of the norm is summed over everything but the batch axis, and averaged over the L layers of a latent
    `(B, L, D)` that has one style for each layer. The running mean includes the current batch and is corrected for its
    start at 0; no gradient passes through it.

    Args:
        sample: Name of the tensor that changes with the latent, `(B, C, H, W)` or `(B, D)`.
        latent: Name of the tensor that the Jacobian is taken by.
        decay: Share of the running mean that a turn keeps.

    Attributes:
        total: The running mean before it is corrected, a scalar buffer.
        share: Sum of the weights in `total`, a scalar buffer.

    References:
        Karras et al. 2020, arXiv:1912.04958, eq. 4 and appendix B.
    """

    def __init__(self, sample: str, latent: str, decay: float) -> None:
        super().__init__()
        self.sample, self.latent, self.decay = sample, latent, decay
        self.total: Tensor
        self.share: Tensor
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("share", torch.zeros(()))
        self._seen: list[Tensor] = []

    def forward(self, game_round: Round) -> Tensor:
        """Return the penalty, a scalar >= 0."""
        lengths = path_lengths(game_round, self.sample, self.latent)
        mean = mean_over_ranks(lengths.detach().mean())
        self._seen.append(mean)
        total, share = self._updated(mean)
        return (lengths - (total / share).to(lengths.dtype)).square().mean()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Update the running mean with the lengths of the turn."""
        if self._seen:
            total, share = self._updated(torch.stack(self._seen).mean())
            self.total.copy_(total)
            self.share.copy_(share)
            self._seen.clear()

    def _updated(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the running mean and its share, with the mean length of a turn included."""
        return self.decay * self.total + (1 - self.decay) * mean, self.decay * self.share + (1 - self.decay)


def path_lengths(game_round: Round, sample: str, latent: str) -> Tensor:
    """Return ||J^T y|| for each example, `(B,)`, with a graph; 0 where the sample does not depend on the latent."""
    made, source = game_round[sample], game_round[latent]
    noise = game_round.randomness.normal(f"path-length {sample}", tuple(made.shape), game_round.device)
    noise = noise.to(made.dtype) / math.sqrt(math.prod(made.shape[2:]))
    if not made.requires_grad:
        return torch.zeros(len(made), device=made.device)
    (jacobian,) = torch.autograd.grad(
        (made * noise).sum(), source, create_graph=True, allow_unused=True, materialize_grads=True
    )
    layers = jacobian.shape[1] if jacobian.ndim == LAYERED_NDIM else 1
    return gradient_norm(jacobian) / math.sqrt(layers)
