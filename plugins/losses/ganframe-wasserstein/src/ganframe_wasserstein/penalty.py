"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe.game import Contest, Round

if TYPE_CHECKING:
    from ganframe.game import Sample


class GradientNormPenalty(nn.Module):
    """E(||grad C(x^)|| - 1)^2 over x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each example; summed over contests.

    The norm is over everything but the batch axis, of all tensors where a sample has several (these share one e).
    Where the critic gives several logits for a sample, such as one per patch, C is their mean, as it is in the loss.
    Interpolates are judged with the condition of the real side.
    """

    def forward(self, game_round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        return sum(
            (_penalty(game_round, contest) for contest in game_round.contests),
            torch.zeros((), device=game_round.device),
        )


def _penalty(game_round: Round, contest: Contest) -> Tensor:
    real, fake = game_round.discriminator_output(contest, "real"), game_round.discriminator_output(contest, "fake")
    share = game_round.randomness.uniform(f"wgan-gp {contest.name}", (game_round.size,), game_round.device)
    reals, fakes = _parts(real.sample), _parts(fake.sample)
    between = tuple(_interpolate(*pair, share).requires_grad_() for pair in zip(reals, fakes, strict=True))
    sample = between if isinstance(real.sample, tuple) else between[0]
    logits = game_round.discriminate(contest.discriminator, sample, real.condition).logits
    scores = logits.reshape(game_round.size, -1).mean(1)
    gradients = torch.autograd.grad(scores.sum(), between, create_graph=True, allow_unused=True, materialize_grads=True)
    return (gradient_norm(gradients) - 1).square().mean()


def _parts(sample: Sample | None) -> tuple[Tensor, ...]:
    if sample is None:
        return ()
    return sample if isinstance(sample, tuple) else (sample,)


def _interpolate(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    share = share.reshape(-1, *(1,) * (real.ndim - 1)).to(real.dtype)
    # With the graph of the samples, if these have one: who looks ahead to the critic's turn differentiates by them.
    return torch.lerp(fake.to(real.dtype), real, share)
