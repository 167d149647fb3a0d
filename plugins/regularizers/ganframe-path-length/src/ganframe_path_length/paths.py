"""Path length regularization."""

from __future__ import annotations

import math

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe import Run
from ganframe.config import hookimpl
from ganframe.game import Round, Turn, mean_over_ranks

LAYERED = 3
"""Axes of a latent with a style for each layer: batch, layer, dimension."""


class Paths(nn.Module):
    """E(||J^T y|| - a)^2 with y ~ N(0, I) / sqrt(H W), and a the running mean of ||J^T y||.

    The square of the norm is summed over everything but the batch axis, and averaged over the L layers of a latent
    `(B, L, D)` that has a style for each. The running mean takes in the present batch, has no bias of its start at 0,
    and no gradient passes through it.

    Args:
        sample: Name of the tensor that changes with the latent, `(B, C, H, W)` or `(B, D)`.
        latent: Name of the tensor that the Jacobian is taken by.
        decay: Share of the running mean that a turn keeps.

    Attributes:
        total: The running mean with its bias, a scalar buffer.
        share: What the weights in it add up to, a scalar buffer.
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
        """The penalty, a scalar >= 0."""
        lengths = path_lengths(game_round, self.sample, self.latent)
        mean = mean_over_ranks(lengths.detach().mean())
        self._seen.append(mean)
        total, share = self._with(mean)
        return (lengths - (total / share).to(lengths.dtype)).square().mean()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Take in the lengths of the turn."""
        if self._seen:
            total, share = self._with(torch.stack(self._seen).mean())
            self.total.copy_(total)
            self.share.copy_(share)
            self._seen.clear()

    def _with(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The running mean and its share, once the mean length of a turn is in."""
        return self.decay * self.total + (1 - self.decay) * mean, self.decay * self.share + (1 - self.decay)


def path_lengths(game_round: Round, sample: str, latent: str) -> Tensor:
    """||J^T y|| for each example, `(B,)`, with a graph; 0 where the sample does not depend on the latent."""
    made, source = game_round[sample], game_round[latent]
    noise = game_round.randomness.normal(f"path-length {sample}", tuple(made.shape), game_round.device)
    noise = noise.to(made.dtype) / math.sqrt(math.prod(made.shape[2:]))
    if not made.requires_grad:
        return torch.zeros(len(made), device=made.device)
    (jacobian,) = torch.autograd.grad(
        (made * noise).sum(), source, create_graph=True, allow_unused=True, materialize_grads=True
    )
    layers = jacobian.shape[1] if jacobian.ndim == LAYERED else 1
    return gradient_norm(jacobian) / math.sqrt(layers)
