"""Historical averaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganframe import Run, hookimpl
from ganframe.game import Round, Turn


class HistoricalAveragePenalty:
    """||theta - 1/t sum_i theta_i||^2 over the trainable parameters of the players in training.

    theta_1 is the value before the first step, theta_t = theta the current one. A mean is kept for each player in whose
    turns the term took part, and is updated after each of that player's steps.

    Attributes:
        means: For each player, the mean of each parameter, by the parameter's name.
        counts: For each player the number of values in its means.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.3.
    """

    def __init__(self) -> None:
        self.means: dict[str, dict[str, Tensor]] = {}
        self.counts: dict[str, int] = {}

    def forward(self, game_round: Round) -> Tensor:
        """Return the penalty, a scalar >= 0; 0 before the first step."""
        costs = [torch.zeros((), device=game_round.device)]
        for player in tuple(game_round.game.players) if game_round.turn is None else game_round.turn.players:
            parameters = self._trainable(game_round, player)
            if player not in self.means:
                self.means[player] = {name: value.detach().clone() for name, value in parameters.items()}
                self.counts[player] = 1
            for name, mean in self.means[player].items():
                costs.append((parameters[name] - mean.to(parameters[name].device)).square().sum())
        return torch.stack(costs).sum()

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn) -> None:
        """Update the means with the new values of the players that trained."""
        for player in turn.players:
            if player in self.means:
                self.counts[player] += 1
                parameters = dict(run.game.players[player].named_parameters())
                for name, mean in self.means[player].items():
                    value = parameters[name].detach()
                    self.means[player][name] = mean.to(value.device).lerp(value, 1 / self.counts[player])

    def state_dict(self) -> dict[str, Any]:
        """Return means and counts."""
        return {"means": self.means, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore means and counts."""
        self.means = {player: dict(means) for player, means in state["means"].items()}
        self.counts = dict(state["counts"])

    def _trainable(self, game_round: Round, player: str) -> dict[str, Tensor]:
        # A game that looks ahead runs the discriminator with other weights, while the player is frozen.
        ahead = game_round.discriminator_weights.get(player, {})
        named = game_round.game.players[player].named_parameters()
        return {
            name: ahead.get(name, parameter) for name, parameter in named if parameter.requires_grad or name in ahead
        }
