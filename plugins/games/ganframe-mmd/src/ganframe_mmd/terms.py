"""The regularizer over named tensors and the loss over verdicts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ganframe.game import DiscriminatorOutput, Round
from ganframe_mmd import MMD, MMDCritic
from ganframe_mmd.kernels import linear, radial, rational_quadratic, rbf, squared_mmd

SquaredMMD = Callable[[Tensor, Tensor], Tensor]


def discrepancy(config: MMD | MMDCritic) -> SquaredMMD:
    """The estimate that a config asks for, of two batches."""
    kernels = {
        "rbf": radial(functools.partial(rbf, bandwidths=config.bandwidths)),
        "linear": linear,
        "rational-quadratic": radial(functools.partial(rational_quadratic, alphas=config.alphas)),
    }
    return functools.partial(squared_mmd, kernel=kernels[config.kernel], unbiased=config.estimator == "unbiased")


class Discrepancy(nn.Module):
    """The squared MMD of two named tensors.

    Args:
        reference: Name of the one.
        sample: Name of the other.
        discrepancy: The estimate.
    """

    def __init__(self, reference: str, sample: str, discrepancy: SquaredMMD) -> None:
        super().__init__()
        self.reference, self.sample, self.discrepancy = reference, sample, discrepancy

    def forward(self, game_round: Round) -> Tensor:
        """The estimate over the batch, a scalar."""
        return self.discrepancy(game_round[self.reference], game_round[self.sample])


class CriticLoss(nn.Module):
    """Critic: minus the squared MMD of what it makes of reals and fakes. Generator: the squared MMD.

    Args:
        of: What is compared of a verdict.
        discrepancy: The estimate.
    """

    def __init__(self, of: Literal["logits", "features"], discrepancy: SquaredMMD) -> None:
        super().__init__()
        self.of, self.discrepancy = of, discrepancy

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the critic minimises."""
        return -self.generator(real, fake)

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The scalar that the generator minimises."""
        return self.discrepancy(self._compared(real), self._compared(fake))

    def _compared(self, output: DiscriminatorOutput) -> Tensor:
        return output.logits if self.of == "logits" else output.features[-1]
