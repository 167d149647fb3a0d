"""Base class of gradient penalties: functions of the gradient of the discriminator C with respect to its input."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game.contest import Contest
from ganframe.game.contest_regularizer import ContestRegularizer
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.round import Round


class GradientPenalty(ContestRegularizer):
    """The mean of `cost(grad C(x))` over points x, summed over the contests of the turn; C is the discriminator.

    A subclass implements `points`, which returns the points x, and `cost`, the penalty on the gradients at the points.
    Where the discriminator returns several logits for a sample, such as one for each patch, C is their mean, as it is
    in the losses. A conditional discriminator is given the condition of the real side with the points.
    """

    def points(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, game_round: Round, contest: Contest
    ) -> tuple[Tensor, ...]:
        """Return the points at which the gradient is taken: one tensor `(B, ...)` for each tensor of a sample.

        Points must not be detached from the samples: a game that simulates discriminator steps (unrolled GAN)
        differentiates through the points.

        Args:
            real: The discriminator output for the real side; its samples are `real.parts`, each `(B, ...)`.
            fake: The same for the fake side. The discriminator runs on a side only when an attribute of its output is
                read.
            game_round: The tensors of the batch. Draw random numbers only from its `randomness`.
            contest: The contest.
        """
        raise NotImplementedError

    def cost(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty on the gradient at each point, `(B,)`.

        Args:
            gradients: The gradients of C at the points: one tensor `(B, ...)` for each tensor of a sample.
        """
        raise NotImplementedError

    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        """Return the mean of `cost` over the points of one contest, a scalar."""
        real, fake = game_round.deferred_output(contest, "real"), game_round.deferred_output(contest, "fake")
        points = tuple(point.requires_grad_() for point in self.points(real, fake, game_round, contest))
        sample = points if isinstance(real.sample, tuple) else points[0]
        logits = game_round.discriminate(contest.discriminator, sample, real.condition).logits  # (B,) or (B, 1, h, w)
        scores = logits.reshape(game_round.size, -1).mean(1)  # (B,)
        gradients = torch.autograd.grad(
            scores.sum(), points, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.cost(gradients).mean()
