"""Penalties at points of their own: between reals and fakes, or around reals."""

from __future__ import annotations

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor

from ganframe.game import Contest, DiscriminatorOutput, GradientPenalty, Round, gather, per_example


class ZeroCenteredInterpolates(GradientPenalty):
    """E||grad C(x^)||^2 over x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each example.

    References:
        Thanh-Tung et al. 2019, arXiv:1902.03984.
    """

    def points(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, game_round: Round, contest: Contest
    ) -> tuple[Tensor, ...]:
        """Return a random point between each fake and a real; all tensors of a sample share one e."""
        e = game_round.randomness.uniform(f"0-gp {contest.name}", (game_round.size,), game_round.device)  # (B,)
        return tuple(
            torch.lerp(g.to(x.dtype), x, per_example(e, x)) for x, g in zip(real.parts, fake.parts, strict=True)
        )

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return ||grad C||^2."""
        return gradient_norm(gradients, squared=True)


class DraganPenalty(GradientPenalty):
    """E(||grad C(x^)|| - 1)^2 over x^ = x + e spread std(x) u: points a random share e of the way to noisy reals.

    The noise u ~ U[0, 1] is drawn for each number, and e ~ U[0, 1] for each example; std is over all numbers of the
    batch.

    Args:
        spread: Largest noise in standard deviations.

    References:
        Kodali et al. 2017, arXiv:1705.07215, and its authors' code.
    """

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def points(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, game_round: Round, contest: Contest
    ) -> tuple[Tensor, ...]:
        """Return reals with noise; each part of a sample has a deviation and noise of its own, and all share one e."""
        e = game_round.randomness.uniform(f"dragan share {contest.name}", (game_round.size,), game_round.device)  # (B,)
        noises = (self._noise(game_round, f"dragan {contest.name} {n}", x) for n, x in enumerate(real.parts))
        return tuple(x + per_example(e, x) * noise for x, noise in zip(real.parts, noises, strict=True))

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return (||grad C|| - 1)^2."""
        return (gradient_norm(gradients) - 1).square()

    def _noise(self, game_round: Round, purpose: str, real: Tensor) -> Tensor:
        uniform = game_round.randomness.uniform(purpose, tuple(real.shape), real.device).to(real.dtype)
        return self.spread * gather(real).std(correction=0) * uniform
