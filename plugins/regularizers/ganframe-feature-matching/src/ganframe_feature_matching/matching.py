"""Feature matching."""

from __future__ import annotations

import torch
from torch import Tensor

from ganframe.game import BadInput, Contest, ContestRegularizer, Round


class FeatureMatchingPenalty(ContestRegularizer):
    """||mean f(x) - mean f(G(z))||^2, summed over layers and over the contests of the turn.

    The means are over the batch only: positions of a feature are matched one by one.

    Args:
        layers: Which features; all when None.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.1.
    """

    def __init__(self, layers: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layers = layers

    def penalty(self, game_round: Round, contest: Contest) -> Tensor:
        """Return the squared distance of the mean features of one contest, a scalar >= 0.

        Raises:
            BadInput: When the discriminator has no feature of that number.
        """
        real = game_round.discriminator_output(contest, "real").features
        fake = game_round.discriminator_output(contest, "fake").features
        layers = range(len(fake)) if self.layers is None else self.layers
        for layer in layers:
            if not -len(fake) <= layer < len(fake):
                message = (
                    f"'feature-matching' reads the feature {layer} of {contest.discriminator!r}, which has {len(fake)}"
                )
                raise BadInput(message)
        return torch.stack([(_mean(fake[l]) - _mean(real[l]).detach()).square().sum() for l in layers]).sum()


def _mean(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32)).mean(0)
