"""The orthogonality penalty."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganframe.game import Round

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FILTERED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


class OrthogonalPenalty(nn.Module):
    """||W^T W * (1 - I)||_F^2, or ||W^T W - I||_F^2, summed over the layers of the players in training.

    The columns of W are the filters of a linear or convolution layer, one for each of its outputs. If a layer's weight
    is parametrized by one tensor, as under spectral normalisation, W is that tensor.

    Args:
        players: Names of the players whose layers count; all players when None.
        norms: Whether the length of the filters counts as well.

    References:
        Brock et al. 2019, arXiv:1809.11096, eq. 3; with norms: Brock et al. 2017, arXiv:1609.07093.
    """

    def __init__(self, players: tuple[str, ...] | None, norms: bool) -> None:
        super().__init__()
        self.players = players
        self.norms = norms

    def forward(self, game_round: Round) -> Tensor:
        """Return the penalty, a scalar >= 0."""
        training = tuple(game_round.game.players) if game_round.turn is None else game_round.turn.players
        costs = [
            self._cost(filters)
            for player in training
            if self.players is None or player in self.players
            for filters in filters_of(game_round, player)
        ]
        return torch.stack(costs).sum() if costs else torch.zeros((), device=game_round.device)

    def _cost(self, filters: Tensor) -> Tensor:
        # Autocast would square the rounding errors of bf16.
        with torch.autocast(filters.device.type, enabled=False):
            gram = filters @ filters.T
            unit = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            return (gram - unit if self.norms else gram * (1 - unit)).square().sum()


def filters_of(game_round: Round, player: str) -> Iterator[Tensor]:
    """Yield the weight of each layer of a player as a matrix with a filter in each row, at least in float32."""
    # A game that looks ahead runs the discriminator with other weights.
    ahead = game_round.discriminator_weights.get(player, {})
    network = game_round.game.players[player]
    parameters = dict(network.named_parameters())
    for path, layer in network.named_modules():
        if isinstance(layer, FILTERED):
            start = f"{path}." if path else ""
            for name in (f"{start}weight", f"{start}parametrizations.weight.original"):
                if name in parameters:
                    weight = ahead.get(name, parameters[name])
                    outputs_first = weight.transpose(0, 1) if isinstance(layer, TRANSPOSED) else weight
                    yield outputs_first.flatten(1).to(torch.promote_types(weight.dtype, torch.float32))
