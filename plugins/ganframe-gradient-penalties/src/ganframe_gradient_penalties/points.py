"""Penalties at points of their own: between reals and fakes, or around reals."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from ganframe_kernels.gradient_norm import gradient_norm
from torch import Tensor, nn

from ganframe import distributed
from ganframe.game import Contest, Round
from ganframe.protocols import Verdict

if TYPE_CHECKING:
    from ganframe.protocols import Sample


class AtPoints(nn.Module):
    """A function of ||grad C|| at some points, summed over the contests of the turn.

    The norm is over everything but the batch axis, of all tensors where a sample has several. Where the discriminator
    gives several logits for a sample, such as one per patch, C is their mean. Points are judged with the condition of
    the real side.
    """

    def points(self, round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Where to look, for each tensor of a sample; without a graph."""
        raise NotImplementedError

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """The cost `(B,)` of each example's gradients, which are `(B, ...)`."""
        raise NotImplementedError

    def forward(self, round: Round) -> Tensor:
        """The penalty, a scalar >= 0."""
        costs = (self.cost(self._gradients(round, contest)).mean() for contest in round.contests)
        return sum(costs, torch.zeros((), device=round.device))

    def _gradients(self, round: Round, contest: Contest) -> tuple[Tensor, ...]:
        points = tuple(each.requires_grad_() for each in self.points(round, contest))
        real = round.verdict(contest, "real")
        sample = points if isinstance(real.sample, tuple) else points[0]
        logits = round.judge(contest.discriminator, sample, real.condition).logits
        scores = logits.reshape(round.size, -1).mean(1)
        return torch.autograd.grad(scores.sum(), points, create_graph=True, allow_unused=True, materialize_grads=True)


class FlatBetween(AtPoints):
    """E||grad C(x^)||^2 over x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each example."""

    def points(self, round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Random points on the lines from fakes to reals; the tensors of a sample share one e."""
        share = round.randomness.uniform(f"0-gp {contest.name}", (round.size,), round.device)
        reals, fakes = (_parts(round.verdict(contest, side)) for side in ("real", "fake"))
        return tuple(_between(fake, real, share) for real, fake in zip(reals, fakes, strict=True))

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """||grad C||^2."""
        return gradient_norm(gradients, squared=True)


class UnitSlopeAround(AtPoints):
    """E(||grad C(x + spread std(x) u)|| - 1)^2 with u ~ U[0, 1] for each number, std over all numbers of the batch.

    Args:
        spread: Largest noise in standard deviations.
    """

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def points(self, round: Round, contest: Contest) -> tuple[Tensor, ...]:
        """Reals with noise; each tensor of a sample has a deviation and noise of its own."""
        parts = _parts(round.verdict(contest, "real"))
        return tuple(self._noisy(round, f"dragan {contest.name} {index}", each) for index, each in enumerate(parts))

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """(||grad C|| - 1)^2."""
        return (gradient_norm(gradients) - 1).square()

    def _noisy(self, round: Round, purpose: str, real: Tensor) -> Tensor:
        noise = round.randomness.uniform(purpose, tuple(real.shape), real.device).to(real.dtype)
        return real.detach() + self.spread * distributed.gather(real.detach()).std(correction=0) * noise


def _parts(verdict: Verdict) -> tuple[Tensor, ...]:
    sample = cast("Sample", verdict.sample)
    return sample if isinstance(sample, tuple) else (sample,)


def _between(fake: Tensor, real: Tensor, share: Tensor) -> Tensor:
    share = share.reshape(-1, *(1,) * (real.ndim - 1)).to(real.dtype)
    return torch.lerp(fake.detach().to(real.dtype), real.detach(), share)
