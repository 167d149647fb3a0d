"""Progressive growing: players that grow with the stages of a run, and images of the size of each stage.

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
    """Lets the players of a game grow with the stages of a run.

    A player grows if its network has a method `grow(downscale)`, which adds the layers of a stage. The network also has
    an attribute `fade`, the share of the newest layers in the output, in [0, 1]. The number of images seen alone
    decides the stage, so checkpoints do not save it.

    Args:
        game: The game, with its players.
        growth: The stages; None for one stage of full size.
        randomness: The draws of the initial weights.
        place: Moves a player to its device.

    Attributes:
        stage: The number of the current stage, counted from 0; -1 before the first stage has begun.

    Raises:
        BadInput: When no player can grow, or the images cannot be made smaller.
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
        """Begin every stage that is due after `images` real examples, unless it has begun already.

        Returns:
            Whether a stage has begun.

        Raises:
            RunFailed: When a later stage has begun already.
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
        """Factor by which each side of the images is smaller than in the data, in this stage."""
        return 1 if self._growth is None else self._growth.stages[self.stage].downscale

    @property
    def batch_size(self) -> int | None:
        """The batch size of this stage; None if it is that of the whole run."""
        return None if self._growth is None else self._growth.stages[self.stage].batch_size

    @property
    def is_full_size(self) -> bool:
        """Whether images have the size of the data."""
        return self.downscale == 1

    def schedule_fade(self, schedules: ScheduledSettings, players: Mapping[str, nn.Module]) -> None:
        """Let the attribute `fade` of players follow the stages."""
        if self._growth is not None:
            for player in growing_players(players).values():
                schedules.add(player, "fade", FadeSchedule(self._growth))

    def resize(self, batch: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """Return a batch with images of the size of this stage, which fade in like the layers.

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
    """How far the newest layers have faded in, over a run.

    Args:
        growth: The stages.
    """

    def __init__(self, growth: Growth) -> None:
        self._growth = growth

    def at(self, images: int, total: int) -> float:
        """Return the share of the newest layers in the output, in [0, 1], once `images` real examples were seen."""
        return self._growth.fade_at(self._growth.stage_at(images), images)


def growing_players(players: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Return the players that can grow, by name."""
    return {name: player for name, player in players.items() if hasattr(player, "grow")}


def _faded(small: Tensor, ratio: int, fade: float) -> Tensor:
    """Return images `(B, C, h, w)` blended with the same images at the resolution of the stage before."""
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
