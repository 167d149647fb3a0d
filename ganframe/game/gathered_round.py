"""Rounds (tensors of a batch) with the examples of all ranks, for terms that are more than a mean over examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ganframe.distributed.collectives import gather
from ganframe.distributed.shard import this_shard
from ganframe.game.contest import Contest, Side
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.round import Round
from ganframe.game.samples import Sample, map_parts


class GatheredRound(Round):
    """The tensors and discriminator outputs of a batch, gathered from all ranks in order of rank.

    Each tensor and each output is gathered once, when it is first read. Gradients flow back to the rank that has the
    example. B is the batch size of one rank.

    Args:
        local: The round with the examples of this rank.
    """

    def __init__(self, local: Round) -> None:
        super().__init__(
            local.game,
            local,
            size=local.size * this_shard().world_size,
            device=local.device,
            randomness=local.randomness.unsharded(),
            turn=local.turn,
        )
        self.logits = local.logits
        self._local = local
        self._gathered_tensors: dict[str, Any] = {}
        self._gathered_outputs: dict[tuple[str, Side], DiscriminatorOutput] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a named tensor `(world_size * B, ...)`, or a tuple of tensors."""
        if name not in self._gathered_tensors:
            self._gathered_tensors[name] = map_parts(self._local[name], gather)
        return self._gathered_tensors[name]

    def made(self) -> Mapping[str, Any]:
        """Return the tensors made so far, by name, with the examples of this rank only."""
        return self._local.made()

    def discriminator_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
        """Return the discriminator's output for one side of a contest, with the examples of all ranks."""
        key = (contest.name, side)
        if key not in self._gathered_outputs:
            self._gathered_outputs[key] = _gather_output(self._local.discriminator_output(contest, side))
        return self._gathered_outputs[key]

    def discriminate(self, discriminator: str, sample: Sample, condition: Sample | None = None) -> DiscriminatorOutput:
        """Return a discriminator's output for samples of all ranks; each rank runs the network on its own samples."""
        shard = this_shard()
        own = map_parts(sample, shard.of)
        own_condition = None if condition is None else map_parts(condition, shard.of)
        return _gather_output(self._local.discriminate(discriminator, own, own_condition))


def gather_round(local: Round) -> Round:
    """Return a round with the examples of all ranks; in a run of one process, `local` itself."""
    return local if this_shard().world_size == 1 else GatheredRound(local)


def _gather_output(own: DiscriminatorOutput) -> DiscriminatorOutput:
    return dataclasses.replace(
        own,
        logits=gather(own.logits),
        features=tuple(map(gather, own.features)),
        class_logits=None if own.class_logits is None else gather(own.class_logits),
        sample=None if own.sample is None else map_parts(own.sample, gather),
        condition=None if own.condition is None else map_parts(own.condition, gather),
        target=None if own.target is None else gather(own.target),
        heads=tuple(map(_gather_output, own.heads)),
    )
