"""Exponential moving averages (EMA) of players, and the decay of the averages over a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganframe.config.experiment import Ema, Train


class AveragedPlayers:
    """Exponential moving averages (EMA) of the parameters and buffers of players.

    Three sorts of buffers are copied instead of averaged: integer buffers; buffers that are not in the state dict, such
    as masks; and buffers whose mean would be meaningless, such as the vectors of a power iteration. A module must name
    buffers of the last sort, its own and those of its submodules, in a class attribute:
    `not_averaged = ("vector", "child.vector")`.

    The first update copies the players.

    Args:
        players: The networks to average, by name.
        decay: Weight of the old average in an update, in [0, 1).

    Attributes:
        decay: Weight of the old average in the next update; it may change between updates.
    """

    def __init__(self, players: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self._sources = dict(players)
        self._averages = {
            name: AveragedModel(player, multi_avg_fn=self._average, use_buffers=True)
            for name, player in players.items()
        }
        for average in self._averages.values():
            average.requires_grad_(False)
        self._not_averaged = {name: _not_averaged(player) for name, player in players.items()}

    def update(self) -> None:
        """Update the averages with the current weights of the players."""
        for name, average in self._averages.items():
            average.update_parameters(self._sources[name])
            buffers = average.module.named_buffers()
            for (key, averaged), latest in zip(buffers, self._sources[name].buffers(), strict=True):
                # A mean of integers would be rounded.
                if not averaged.is_floating_point() or key in self._not_averaged[name]:
                    averaged.copy_(latest)

    def grow(self, downscale: int) -> None:
        """Grow the averages of players that have grown; new tensors are copied from the players.

        Args:
            downscale: Factor by which images are now smaller than those of the data, along each side.
        """
        for name, average in self._averages.items():
            if hasattr(average.module, "grow"):
                known = average.module.state_dict().keys()
                average.module.grow(downscale)  # pyright: ignore[reportCallIssue]
                latest = self._sources[name].state_dict()
                for key, value in average.module.state_dict().items():
                    if key not in known:
                        value.copy_(latest[key])
                average.requires_grad_(False)
                self._not_averaged[name] = _not_averaged(self._sources[name])

    def _average(self, averages: Any, latest: Any, updates: Any) -> None:
        get_ema_multi_avg_fn(self.decay)(averages, latest, updates)

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
        """Return the averages of all players, and the number of their updates."""
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


def make_averages(players: Mapping[str, nn.Module], train: Train, step_images: int) -> AveragedPlayers | None:
    """Return the moving averages of some players at the start of a run; None if the config has no `train.ema`.

    Args:
        players: The networks to average, by name.
        train: The settings `train` of the config.
        step_images: Number of real examples in a training step.
    """
    if train.ema is None:
        return None
    return AveragedPlayers(players, train.ema.decay(0, step_images, train.total_images))


class DecaySchedule:
    """The decay of the moving averages over a run.

    Args:
        ema: The config of the averages.
        step_images: Returns the current number of real examples in a training step.
    """

    def __init__(self, ema: Ema, step_images: Callable[[], int]) -> None:
        self._ema, self._step_images = ema, step_images

    def at(self, images: int, total: int) -> float:
        """Return the decay for the step that begins after `images` of the `total` real examples."""
        return self._ema.decay(images, self._step_images(), total)
