"""The pipeline of transformations, and with the controller of its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganframe.config import hookimpl
from ganframe.game import Round, Turn, gather, this_shard
from ganframe_ada import ADA
from ganframe_ada.color import Color, recolored
from ganframe_ada.geometry import Geometry
from ganframe_ada.maybe import RandomParameters
from ganframe_ada.resample import resampled

if TYPE_CHECKING:
    from ganframe import Run
    from ganframe.game import Sample


class Pipeline(nn.Module):
    """Each transformation with the probability p, which stays as it is.

    All parts of a tuple are changed by the same parameters. A sample for which nothing was drawn stays as it is, to the
    bit. The buffers are those of the controller too, so that a run may go on with `adapt` turned on or off.

    Args:
        config: The settings.

    Attributes:
        p: Probability of each transformation.
        signs: Sum of the signs of the logits of reals since p last changed.
        logits: How many logits these were.
        reals: How many reals were judged.
        turns: How many discriminator turns were taken.
    """

    p: Tensor
    signs: Tensor
    logits: Tensor
    reals: Tensor
    turns: Tensor

    def __init__(self, config: ADA) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("p", torch.tensor(config.p))
        for name in ("signs", "logits", "reals", "turns"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The images as the discriminator is to see them, in their own dtype."""
        parts = sample if isinstance(sample, tuple) else (sample,)
        # bf16 has too few digits for coordinates.
        with torch.autocast(parts[0].device.type, enabled=False):
            maybe = RandomParameters(len(parts[0]), self.p, generator)
            geometry, color = Geometry.drawn(maybe, self.config.groups), Color.drawn(maybe)
            changed = tuple(self._changed(part, geometry, color) for part in parts)
        return changed if isinstance(sample, tuple) else changed[0]

    def _changed(self, part: Tensor, geometry: Geometry, color: Color) -> Tensor:
        images = part.to(torch.promote_types(part.dtype, torch.float32))
        if {"blit", "geometry"} & {*self.config.groups}:
            images = resampled(images, geometry.inverse(*part.shape[2:]))
        if "color" in self.config.groups:
            images = recolored(images, color.matrix())
        return images.to(part.dtype)


class Adaptive(Pipeline):
    """The pipeline, whose p follows the sign of the discriminator's logits of reals."""

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        """Take in what the discriminators said of reals; move p after every `interval` turns."""
        if run.game.is_discriminator_turn(turn):
            said = [logits for each in rounds for (_, side), logits in each.logits.items() if side == "real"]
            if said:
                logits = gather(torch.cat([logits.flatten() for logits in said]))
                self._observe(logits, sum(each.size for each in rounds) * this_shard().world_size)
            run.report("ada/p", self.p)

    @torch.no_grad()
    def _observe(self, logits: Tensor, reals: int) -> None:
        """Add sign(r_t - target) * reals / images to p after each interval; nothing is read from the device."""
        self.signs += logits.sign().sum()
        self.logits += logits.numel()
        self.reals += reals
        self.turns += 1
        due = self.turns >= self.config.interval
        step = (self.signs / self.logits - self.config.target).sign() * self.reals / self.config.images
        self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
        for each in (self.signs, self.logits, self.reals, self.turns):
            each.masked_fill_(due, 0)
