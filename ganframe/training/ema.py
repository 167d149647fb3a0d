"""Exponential moving averages of the players that make samples."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedPlayers:
    """Exponential moving averages of parameters and buffers.

    Integer buffers, and buffers that are not in the state dict, such as masks, keep the latest value instead. So do
    buffers whose mean is meaningless, such as the vectors of a power iteration: a module names them in a class
    attribute, `not_averaged = ("vector", "child.vector")`, its own and those of modules inside it.

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
    """Return the names of buffers in `not_averaged`, and of those not in the state dict: a mask has infinities."""
    declared = {
        f"{path}.{buffer}".removeprefix(".")
        for path, module in player.named_modules()
        # Of the class: an instance of `Wrapper` forwards attributes of the wrapped network.
        for buffer in getattr(type(module), "not_averaged", ())
    }
    buffers = {name for name, _ in player.named_buffers()}
    if declared - buffers:
        raise AttributeError(f"`not_averaged` names what is not a buffer: {', '.join(sorted(declared - buffers))}")
    return declared | (buffers - player.state_dict().keys())
