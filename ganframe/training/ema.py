"""Averages of the players that make samples."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedPlayers:
    """Exponential moving averages of parameters and buffers.

    Of buffers of whole numbers, and of those that are no part of a network's state, such as masks, the latest value.
    So too of buffers in which a mean says nothing, such as the vectors of a power iteration: a module names them in a
    class attribute, `not_averaged = ("vector", "child.vector")`, its own and those of modules inside it.

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
        self._latest = {name: _not_averaged(player) for name, player in players.items()}

    def update(self) -> None:
        """Take in the players as they are now."""
        for name, average in self._averages.items():
            average.update_parameters(self._sources[name])
            named = average.module.named_buffers()
            for (buffer, mine), theirs in zip(named, self._sources[name].buffers(), strict=True):
                # A mean of whole numbers would be rounded.
                if not mine.is_floating_point() or buffer in self._latest[name]:
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


def _not_averaged(player: nn.Module) -> set[str]:
    """Names of the buffers that modules declare, and of those that are no part of the state: a mask has infinities."""
    declared = {
        f"{path}.{buffer}".removeprefix(".")
        for path, module in player.named_modules()
        # Of the class: a wrapper passes on what the network inside offers.
        for buffer in getattr(type(module), "not_averaged", ())
    }
    buffers = {name for name, _ in player.named_buffers()}
    if declared - buffers:
        raise AttributeError(f"`not_averaged` names what is no buffer: {', '.join(sorted(declared - buffers))}")
    return declared | (buffers - player.state_dict().keys())
