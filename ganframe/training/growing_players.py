"""Progressive growing: players that grow with the stages of a run, and images at the resolution of each stage.

References:
    Karras et al. 2018, Progressive Growing of GANs, arXiv:1710.10196.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from ganframe.config.growth import Growth
from ganframe.config.tensor_specs import parts
from ganframe.errors import BadInput, RunFailed
from ganframe.game.game import Game
from ganframe.randomness import Randomness
from ganframe.training.scheduled_settings import ScheduledSettings

IMAGE_AXES = 3
"""Axes of an image without the batch axis: (C, H, W)."""


class GrowingPlayers:
    """The players of a game that grow with the stages of a run.

    A player grows if its network has a method `grow(downscale)`, which adds the layers of a stage. The network must
    also have an attribute `fade`, in [0, 1]: how far the newest layers are blended into the output. The stage depends
    only on the number of images seen, so checkpoints do not save it.

    Args:
        game: The game, with its players.
        growth: The stages; None for a single stage at full resolution.
        randomness: The source of the initial weights.
        place: Moves a player to its device.

    Attributes:
        stage: The index of the current stage, from 0; -1 before the first stage has begun.

    Raises:
        BadInput: When a player that takes or makes images cannot grow, a player starts from samples, or the sides of
            the images are not divisible by the first stage's `downscale`.
    """

    def __init__(
        self,
        game: Game,
        growth: Growth | None,
        randomness: Randomness,
        place: Callable[[nn.Module], object],
    ) -> None:
        self._game, self._growth, self._randomness, self._place = game, growth, randomness, place
        self.stage = -1
        self._images = [name for name, spec in game.data.items() if len(spec.shape) == IMAGE_AXES]
        if growth is not None:
            _check(game, growth)

    def apply(self, images: int) -> bool:
        """Grow the players to the stage that is due after `images` real examples, if they have not reached it yet.

        Returns:
            Whether players have grown.

        Raises:
            RunFailed: When players have already grown beyond that stage.
        """
        stage = 0 if self._growth is None else self._growth.stage_at(images)
        if stage < self.stage:
            raise RunFailed("players cannot shrink to an earlier stage; the run can go on with --resume")
        changed = stage > self.stage
        while self.stage < stage:
            self.stage += 1
            with torch.random.fork_rng(devices=[]):
                for name, player in growing_players(self._game.players).items():
                    self._randomness.at("player", name, "stage", self.stage).seed_torch("initialisation")
                    player.grow(self.downscale)
                    self._place(player)
        if changed:
            self._game.set_players(self._game.players)
        return changed

    @property
    def downscale(self) -> int:
        """Factor by which the images of the current stage are smaller than those of the data, along each side."""
        return 1 if self._growth is None else self._growth.stages[self.stage].downscale

    @property
    def batch_size(self) -> int | None:
        """The batch size of the current stage; None if the stage has none of its own."""
        return None if self._growth is None else self._growth.stages[self.stage].batch_size

    @property
    def is_full_size(self) -> bool:
        """Whether images have the full resolution of the data."""
        return self.downscale == 1

    def schedule_fade(self, schedules: ScheduledSettings, players: Mapping[str, nn.Module]) -> None:
        """Add the attribute `fade` of players that grow to the scheduled settings."""
        if self._growth is not None:
            for player in growing_players(players).values():
                schedules.add(player, "fade", FadeSchedule(self._growth))

    def resize(self, batch: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """Downscale the images of a batch to the resolution of the current stage.

        While the newest layers fade in, images are blended with those of the previous resolution to the same degree.

        Args:
            batch: Named tensors; images are `(B, C, H, W)`.
            images: Real examples seen before the step.
        """
        if self._growth is None:
            return batch
        fade = self._growth.fade_at(self.stage, images)
        ratio = self._growth.stages[max(self.stage - 1, 0)].downscale // self.downscale
        return {
            name: _faded(avg_pool2d(value, self.downscale), ratio, fade) if name in self._images else value
            for name, value in batch.items()
        }


class FadeSchedule:
    """The value of `fade` over a run: how far the newest layers are blended into the output.

    Args:
        growth: The stages.
    """

    def __init__(self, growth: Growth) -> None:
        self._growth = growth

    def at(self, images: int, total: int) -> float:
        """Return the value of `fade`, in [0, 1], after `images` real examples."""
        return self._growth.fade_at(self._growth.stage_at(images), images)


def growing_players(players: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Return the players that can grow, by name."""
    return {name: player for name, player in players.items() if hasattr(player, "grow")}


def _faded(small: Tensor, ratio: int, fade: float) -> Tensor:
    """Blend images `(B, C, h, w)` with themselves at the resolution of the previous stage."""
    if fade == 1 or ratio == 1:
        return small
    coarse = interpolate(avg_pool2d(small, ratio), scale_factor=ratio, mode="nearest")
    return torch.lerp(coarse, small, fade)


def _check(game: Game, growth: Growth) -> None:
    for name, spec in game.player_specs().items():
        takes_images = any(len(part.shape) == IMAGE_AXES for part in parts(spec.sample))
        if takes_images and name not in growing_players(game.players):
            message = f"{spec.config.type_name()!r} ({name}) cannot grow: it has no method `grow`"
            raise BadInput(message, path=("growth",), remedy="Use networks that grow, or leave `growth` out.")
        if spec.source is not None:
            raise BadInput(f"the player {name!r} starts from samples, which do not grow", path=("growth",))
    largest = growth.stages[0].downscale
    for name, spec in game.data.items():
        if len(spec.shape) == IMAGE_AXES and any(side % largest for side in spec.shape[1:]):
            message = f"images of {spec.shape[1]} x {spec.shape[2]} ({name!r}) cannot be {largest} times smaller"
            raise BadInput(message, path=("growth", "stages", 0, "downscale"))
