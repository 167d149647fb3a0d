"""The diversity of a batch in O(N^2 + N D) memory, or less, for N samples of D numbers."""

from __future__ import annotations

import torch
from ganframe_kernels.pairwise_diversity import pairwise_diversity
from torch import Tensor, nn

from ganframe.game import Round


class DiversityReward(nn.Module):
    """-2/(N (N - 1)) sum_{i<j} limit (1 - exp(-d_ij / limit)) with d_ij = ||x_i - x_j||^2 / D.

    For distances far below the limit this is the mean of -d_ij; it never falls below -limit. Each pair saturates on its
    own, so that one outlier cannot earn the reward of the whole batch. Without a limit the reward is the mean of -d_ij.
    It is then computed without the single distances, in O(N D) time and with no memory besides the samples.

    Args:
        sample: Name of the tensor.
        limit: The mean squared distance per element at which a pair has 63% of what it can earn, or None.
    """

    def __init__(self, sample: str, limit: float | None) -> None:
        super().__init__()
        self.sample, self.limit = sample, limit

    def forward(self, game_round: Round) -> Tensor:
        """Return the penalty, a scalar in (-limit, 0]; 0 for a batch of one."""
        if self.limit is None:
            samples = game_round[self.sample]
            return -pairwise_diversity(samples, reduction="mean") / max(samples[0].numel(), 1)
        distances = mean_squared_distances(game_round[self.sample])
        earned = -self.limit * torch.expm1(-distances / self.limit)
        pairs = len(distances) * (len(distances) - 1)
        return -earned.sum() / max(pairs, 1)


def mean_squared_distances(samples: Tensor) -> Tensor:
    """Return d_ij `(N, N)` for samples `(N, ...)`, with an exact 0 on the diagonal."""
    # In bf16 the Gram matrix would lose the small distances, which matter most.
    with torch.autocast(samples.device.type, enabled=False):
        flat = samples.reshape(len(samples), -1).to(torch.promote_types(samples.dtype, torch.float32))
        centred = flat - flat.mean(0)
        gram = centred @ centred.T / flat.shape[1]
        norms = gram.diagonal()
        distances = (norms[:, None] + norms[None, :] - 2 * gram).clamp(min=0)
        return distances * (1 - torch.eye(len(samples), dtype=flat.dtype, device=flat.device))
