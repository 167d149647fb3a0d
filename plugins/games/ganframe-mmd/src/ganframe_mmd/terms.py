"""The regularizer over named tensors and the loss over the outputs of a critic."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ganframe.game import DiscriminatorOutput, Round
from ganframe_mmd import MMD, MMDCritic
from ganframe_mmd.kernels import linear, radial, rational_quadratic, rbf, squared_mmd

SquaredMMD = Callable[[Tensor, Tensor], Tensor]
"""A scalar estimate from `(N, ...)` and `(M, ...)`."""


def discrepancy(config: MMD | MMDCritic) -> SquaredMMD:
    """Return the estimate that a config asks for."""
    kernels = {
        "rbf": radial(functools.partial(rbf, bandwidths=config.bandwidths)),
        "linear": linear,
        "rational-quadratic": radial(functools.partial(rational_quadratic, alphas=config.alphas)),
    }
    return functools.partial(squared_mmd, kernel=kernels[config.kernel], unbiased=config.estimator == "unbiased")


class Discrepancy(nn.Module):
    """The squared MMD of two named tensors.

    Args:
        reference: Name of the tensor x.
        sample: Name of the tensor y.
        discrepancy: The estimate.

    References:
        Gretton et al. 2012, JMLR 13:723-773, eq. 3 and 5; Li et al. 2015, arXiv:1502.02761, eq. 3.
    """

    def __init__(self, reference: str, sample: str, discrepancy: SquaredMMD) -> None:
        super().__init__()
        self.reference, self.sample, self.discrepancy = reference, sample, discrepancy

    def forward(self, game_round: Round) -> Tensor:
        """Return the estimate over the batch, a scalar."""
        return self.discrepancy(game_round[self.reference], game_round[self.sample])


class CriticLoss(nn.Module):
    """Critic: minus the squared MMD of its outputs for reals and for fakes. Generator: the squared MMD.

    Args:
        of: Which output of the critic is compared.
        discrepancy: The estimate.

    References:
        Li et al. 2017, arXiv:1705.08584, section 3; Binkowski et al. 2018, arXiv:1801.01401, section 2.
    """

    def __init__(self, of: Literal["logits", "features"], discrepancy: SquaredMMD) -> None:
        super().__init__()
        self.of, self.discrepancy = of, discrepancy

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the loss of the critic, a scalar."""
        return -self.generator(real, fake)

    def generator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """Return the loss of the generator, a scalar."""
        return self.discrepancy(self._compared(real), self._compared(fake))

    def _compared(self, output: DiscriminatorOutput) -> Tensor:
        return output.logits if self.of == "logits" else output.features[-1]
