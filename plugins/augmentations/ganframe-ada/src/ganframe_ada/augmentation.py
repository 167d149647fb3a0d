"""The pipeline of transformations, with a fixed or an adapted probability."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganframe import Run, hookimpl
from ganframe.game import Round, Sample, Turn, gather, map_parts, sample_parts, this_shard
from ganframe_ada import ADA
from ganframe_ada.color import Color, recolor
from ganframe_ada.geometry import Geometry
from ganframe_ada.random_parameters import RandomParameters
from ganframe_ada.resample import resample


class Pipeline(nn.Module):
    """Applies each transformation with a fixed probability p.

    All parts of a tuple are changed by the same parameters. A sample for which nothing was drawn does not change, bit
    for bit. The buffers include those of the controller, so that `adapt` can be switched when a run is resumed.

    Args:
        config: The settings.

    Attributes:
        p: Probability of each transformation.
        signs: Sum of the signs of the logits of reals since p last changed.
        logits: Number of those logits.
        reals: Number of reals since p last changed.
        turns: Number of discriminator turns since p last changed.

    References:
        Karras et al. 2020, arXiv:2006.06676, appendix B.
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
        """Return the augmented images, in their own dtype; the images themselves where p is 0 on a CPU."""
        first = sample_parts(sample)[0]
        # Reading p from a GPU would wait for it. Nothing else draws from the generator, so no later draw changes.
        if self.p.is_cpu and not self.p:
            return sample
        # bf16 is not precise enough for coordinates.
        with torch.autocast(first.device.type, enabled=False):
            parameters = RandomParameters(len(first), self.p, generator)
            geometry, color = Geometry.draw(parameters, self.config.groups), Color.draw(parameters)
            return map_parts(sample, lambda part: self._transform(part, geometry, color))

    def _transform(self, part: Tensor, geometry: Geometry, color: Color) -> Tensor:
        images = part.to(torch.promote_types(part.dtype, torch.float32))
        if {"blit", "geometry"} & {*self.config.groups}:
            images = resample(images, geometry.inverse(*part.shape[2:]))
        if "color" in self.config.groups:
            images = recolor(images, color.matrix())
        return images.to(part.dtype)


class Adaptive(Pipeline):
    """The pipeline with a p that follows the sign of the discriminator's logits of reals.

    References:
        Karras et al. 2020, arXiv:2006.06676, section 3, eq. 1.
    """

    @hookimpl
    def on_turn_end(self, run: Run, turn: Turn, rounds: Sequence[Round]) -> None:
        """Accumulate the signs of the logits of reals; change p after every `interval` discriminator turns."""
        if run.game.is_discriminator_turn(turn):
            real = [
                logits.flatten()
                for game_round in rounds
                for (_, side), logits in game_round.logits.items()
                if side == "real"
            ]
            if real:
                count = sum(game_round.size for game_round in rounds) * this_shard().world_size
                self._observe(gather(torch.cat(real)), count)
            run.report("ada/p", self.p)

    @torch.no_grad()
    def _observe(self, logits: Tensor, reals: int) -> None:
        """After each interval, add sign(r_t - target) * reals / images to p, without reading from the device."""
        self.signs += logits.sign().sum()
        self.logits += logits.numel()
        self.reals += reals
        self.turns += 1
        due = self.turns >= self.config.interval
        step = (self.signs / self.logits - self.config.target).sign() * self.reals / self.config.adjustment_images
        self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
        for accumulator in (self.signs, self.logits, self.reals, self.turns):
            accumulator.masked_fill_(due, 0)
