"""Penalties at points of their own: between reals and fakes, or around reals."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe.game import Contest, DiscriminatorOutput, Round, gather

if TYPE_CHECKING:
    from ganframe.game import Sample


class AtPoints(nn.Module):
    """A function of ||grad C|| at some points, summed over the contests of the turn.

    The norm is over everything but the batch axis, of all tensors where a sample has several. Where the discriminator
    gives several logits for a sample, such as one per patch, C is their mean. Points are judged with the condition of
    the real side.
    """

    def points(self, game_round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Where to look, for each tensor of a sample.

        New tensors, with the graph of the samples if these have one: who looks ahead to the discriminator's turn
        differentiates by them.
        """
        raise NotImplementedError

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """The cost `(B,)` of each example's gradients, which are `(B, ...)`."""
        raise NotImplementedError

    def forward(self, game_round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        costs = (self.cost(self._gradients(game_round, contest)).mean() for contest in game_round.contests)
        return sum(costs, torch.zeros((), device=game_round.device))

    def _gradients(self, game_round: Round, contest: Contest) -> tuple[Tensor, ...]:
        points = tuple(each.requires_grad_() for each in self.points(game_round, contest))
        real = game_round.discriminator_output(contest, "real")
        sample = points if isinstance(real.sample, tuple) else points[0]
        logits = game_round.discriminate(contest.discriminator, sample, real.condition).logits
        scores = logits.reshape(game_round.size, -1).mean(1)
        return torch.autograd.grad(scores.sum(), points, create_graph=True, allow_unused=True, materialize_grads=True)


class FlatBetween(AtPoints):
    """E||grad C(x^)||^2 over x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each example."""

    def points(self, game_round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Random points on the lines from fakes to reals; the tensors of a sample share one e."""
        share = game_round.randomness.uniform(f"0-gp {contest.name}", (game_round.size,), game_round.device)
        reals, fakes = (_parts(game_round.discriminator_output(contest, side)) for side in ("real", "fake"))
        return tuple(_between(fake, real, share) for real, fake in zip(reals, fakes, strict=True))

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """||grad C||^2."""
        return gradient_norm(gradients, squared=True)


class DraganPenalty(AtPoints):
    """E(||grad C(x^)|| - 1)^2 over x^ = x + e spread std(x) u: points a random share e of the way to noisy reals.

    The noise u ~ U[0, 1] has a draw for each number, e ~ U[0, 1] one for each example; std is over all numbers of the
    batch.

    Args:
        spread: Largest noise in standard deviations.
    """

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def points(self, game_round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Reals with noise; each tensor of a sample has a deviation and noise of its own, and all share one e."""
        share = game_round.randomness.uniform(f"dragan share {contest.name}", (game_round.size,), game_round.device)
        parts = _parts(game_round.discriminator_output(contest, "real"))
        noises = (self._noise(game_round, f"dragan {contest.name} {index}", each) for index, each in enumerate(parts))
        return tuple(real + _of_each(share, real) * noise for real, noise in zip(parts, noises, strict=True))

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """(||grad C|| - 1)^2."""
        return (gradient_norm(gradients) - 1).square()

    def _noise(self, game_round: Round, purpose: str, real: Tensor) -> Tensor:
        uniform = game_round.randomness.uniform(purpose, tuple(real.shape), real.device).to(real.dtype)
        return self.spread * gather(real).std(correction=0) * uniform


def _parts(output: DiscriminatorOutput) -> tuple[Tensor, ...]:
    sample = cast("Sample", output.sample)
    return sample if isinstance(sample, tuple) else (sample,)


def _between(fake: Tensor, real: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(fake.to(real.dtype), real, _of_each(share, real))


def _of_each(share: Tensor, sample: Tensor) -> Tensor:
    """One number for each example, shaped to go with all of its numbers."""
    return share.reshape(-1, *(1,) * (sample.ndim - 1)).to(sample.dtype)
