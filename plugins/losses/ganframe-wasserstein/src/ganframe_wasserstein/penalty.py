"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor

from ganframe.game import Contest, DiscriminatorOutput, GradientPenalty, Round, per_example


class WassersteinGradientPenalty(GradientPenalty):
    """E(||grad C(x^)|| - 1)^2 over x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each example; summed over contests.

    The norm is over everything but the batch axis, of all parts of a sample.

    References:
        Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    """

    def points(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, game_round: Round, contest: Contest
    ) -> tuple[Tensor, ...]:
        """Return a random point between each fake and a real; all tensors of a sample share one e."""
        e = game_round.randomness.uniform(f"wgan-gp {contest.name}", (game_round.size,), game_round.device)  # (B,)
        return tuple(
            torch.lerp(g.to(x.dtype), x, per_example(e, x)) for x, g in zip(real.parts, fake.parts, strict=True)
        )

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return (||grad C|| - 1)^2."""
        return (gradient_norm(gradients) - 1).square()
