"""Exponential moving averages (EMA) of players."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedPlayers:
    """Exponential moving averages (EMA) of the parameters and buffers of players.

    Three sorts of buffers have their latest value instead of a mean: integer buffers; buffers that are not in the state
    dict, such as masks; and buffers whose mean has no meaning, such as the vectors of a power iteration. A module names
    the buffers of the last sort, its own and those of its submodules, in a class attribute:
    `not_averaged = ("vector", "child.vector")`.

    Args:
        players: The networks to average, by name.
        decay: Weight of the old average in an update, in [0, 1).
    """

    def __init__(self, players: Mapping[str, nn.Module], decay: float) -> None:
        self._sources = dict(players)
        self._averages = {
            name: AveragedModel(player, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            for name, player in players.items()
        }
        for average in self._averages.values():
            average.requires_grad_(False)
        self._not_averaged = {name: _not_averaged(player) for name, player in players.items()}

    def update(self) -> None:
        """Update the averages with the players as they are now."""
        for name, average in self._averages.items():
            average.update_parameters(self._sources[name])
            buffers = average.module.named_buffers()
            for (key, averaged), latest in zip(buffers, self._sources[name].buffers(), strict=True):
                # A mean of integers would be rounded.
                if not averaged.is_floating_point() or key in self._not_averaged[name]:
                    averaged.copy_(latest)

    @property
    def players(self) -> dict[str, nn.Module]:
        """The averaged networks, by name."""
        return {name: average.module for name, average in self._averages.items()}

    def tensors(self) -> list[Tensor]:
        """Return the floating-point tensors in the state of all averaged players."""
        return [
            tensor
            for player in self.players.values()
            for tensor in player.state_dict().values()
            if tensor.is_floating_point()
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages of all players and how many updates they have seen."""
        return {
            f"{name}.{key}": value
            for name, average in self._averages.items()
            for key, value in average.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the averages."""
        for name, average in self._averages.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
            average.load_state_dict(own)


def _not_averaged(player: nn.Module) -> set[str]:
    """Return the names of the buffers that are not averaged: those in `not_averaged` and those not in the state dict.

    The latter may be masks with infinities, whose average would be NaN.
    """
    declared = {
        f"{path}.{buffer}".removeprefix(".")
        for path, module in player.named_modules()
        # Read from the class, because an instance of `Wrapper` forwards the attributes of the wrapped network.
        for buffer in getattr(type(module), "not_averaged", ())
    }
    buffers = {name for name, _ in player.named_buffers()}
    if declared - buffers:
        raise AttributeError(f"`not_averaged` names what is not a buffer: {', '.join(sorted(declared - buffers))}")
    return declared | (buffers - player.state_dict().keys())
