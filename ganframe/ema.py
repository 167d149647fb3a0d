"""Averages of the players that make samples."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averages:
    """Exponential moving averages of parameters and buffers.

    Of buffers of whole numbers, and of those that are no part of a network's state, such as masks, the latest value.

    Args:
        players: The networks to average, by name.
        decay: Share of the old average that a step keeps, in [0, 1).
    """

    def __init__(self, players: Mapping[str, nn.Module], decay: float) -> None:
        self._sources = dict(players)
        self._averages = {
            name: AveragedModel(player, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            for name, player in players.items()
        }
        for average in self._averages.values():
            average.requires_grad_(False)
        self._averaged = {name: set(player.state_dict()) for name, player in players.items()}

    def update(self) -> None:
        """Take in the players as they are now."""
        for name, average in self._averages.items():
            average.update_parameters(self._sources[name])
            named = average.module.named_buffers()
            for (buffer, mine), theirs in zip(named, self._sources[name].buffers(), strict=True):
                # A mean of whole numbers would be rounded, and that of a mask's infinities be no number.
                if not mine.is_floating_point() or buffer not in self._averaged[name]:
                    mine.copy_(theirs)

    @property
    def players(self) -> dict[str, nn.Module]:
        """The averaged networks, by name."""
        return {name: average.module for name, average in self._averages.items()}

    def tensors(self) -> list[Tensor]:
        """The averages of all players, and the latest values that stand beside them."""
        return [
            each
            for player in self.players.values()
            for each in player.state_dict().values()
            if each.is_floating_point()
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Averages and counts of all players."""
        return {
            f"{name}.{key}": value
            for name, average in self._averages.items()
            for key, value in average.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the averages back."""
        for name, average in self._averages.items():
            start = f"{name}."
            average.load_state_dict({key[len(start) :]: each for key, each in state.items() if key.startswith(start)})
