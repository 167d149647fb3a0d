"""The base of gradient penalties: a function of the gradient of the discriminator C at some points."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game.contest import Contest
from ganframe.game.contest_regularizer import ContestRegularizer
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.round import Round


class GradientPenalty(ContestRegularizer):
    """E penalty(grad C(x)) over points x of its own, summed over the contests of the turn.

    A subclass says where the gradient is taken (`points`) and what it costs (`cost`). Where the discriminator returns
    several logits for a sample, such as one per patch, C is their mean, as it is in the losses. The condition at a
    point is that of the real side.
    """

    def points(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, game_round: Round, contest: Contest
    ) -> tuple[Tensor, ...]:
        """Return where the gradient is taken, `(B, ...)` for each part of a sample.

        Points keep the graph of the samples, if these have one: a game that looks ahead differentiates by them.

        Args:
            real: The real side; its samples are `real.parts`, each `(B, ...)`.
            fake: The fake side. The discriminator is run on a side only if something of it is read.
            game_round: The round, for its randomness.
            contest: The contest.
        """
        raise NotImplementedError

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty `(B,)` on the gradients, one `(B, ...)` for each part of a sample."""
        raise NotImplementedError

    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        """Return the mean penalty on one contest, a scalar."""
        real, fake = game_round.deferred_output(contest, "real"), game_round.deferred_output(contest, "fake")
        points = tuple(point.requires_grad_() for point in self.points(real, fake, game_round, contest))
        sample = points if isinstance(real.sample, tuple) else points[0]
        logits = game_round.discriminate(contest.discriminator, sample, real.condition).logits  # (B,) or (B, 1, h, w)
        scores = logits.reshape(game_round.size, -1).mean(1)  # (B,)
        gradients = torch.autograd.grad(
            scores.sum(), points, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.cost(gradients).mean()
