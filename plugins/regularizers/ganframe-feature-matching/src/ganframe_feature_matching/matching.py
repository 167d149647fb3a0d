"""Feature matching."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Contest, Round


class Matching(nn.Module):
    """||mean f(x) - mean f(G(z))||^2, summed over layers and over the contests of the turn.

    The means are over the batch alone: positions of a feature are matched one by one.

    Args:
        layers: Which features; all when None.
    """

    def __init__(self, layers: tuple[int, ...] | None) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, game_round: Round) -> Tensor:
        """The penalty, a scalar >= 0.

        Raises:
            BadInput: When a discriminator has no feature of that number.
        """
        return sum(
            (self._distance(game_round, each) for each in game_round.contests),
            torch.zeros((), device=game_round.device),
        )

    def _distance(self, game_round: Round, contest: Contest) -> Tensor:
        real, fake = (
            game_round.discriminator_output(contest, "real").features,
            game_round.discriminator_output(contest, "fake").features,
        )
        layers = range(len(fake)) if self.layers is None else self.layers
        for layer in layers:
            if not -len(fake) <= layer < len(fake):
                message = (
                    f"'feature-matching' reads the feature {layer} of {contest.discriminator!r}, which has {len(fake)}"
                )
                raise BadInput(message)
        return torch.stack([(_mean(fake[each]) - _mean(real[each]).detach()).square().sum() for each in layers]).sum()


def _mean(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32)).mean(0)
