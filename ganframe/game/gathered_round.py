"""A round as if one process had the batches of all ranks: what terms see that are more than a mean over examples."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ganframe.distributed import collectives as distributed
from ganframe.game.contest import Contest, Side
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.round import Round

if TYPE_CHECKING:
    from ganframe.game.protocols import Sample


class GatheredRound(Round):
    """Named tensors and verdicts of a round with the examples of all ranks, in order, each gathered at most once.

    Gradients reach the rank that an example comes from.

    Args:
        round: The round of this rank.
    """

    def __init__(self, game_round: Round) -> None:
        # All that is not gathered is the round's own.
        self.__dict__.update(vars(game_round))
        self._own = game_round
        self.size = game_round.size * distributed.this_shard().world_size
        self.randomness = game_round.randomness.whole()
        self._tensors: dict[str, Any] = {}
        self._gathered: dict[tuple[str, Side], DiscriminatorOutput] = {}

    def __getitem__(self, name: str) -> Any:
        """A named tensor, `(ranks * B, ...)`."""
        if name not in self._tensors:
            self._tensors[name] = _sample(self._own[name])
        return self._tensors[name]

    def discriminator_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
        """What the discriminator says of one side of a contest, on all ranks."""
        key = (contest.name, side)
        if key not in self._gathered:
            self._gathered[key] = _verdict(self._own.discriminator_output(contest, side))
        return self._gathered[key]

    def judge(self, discriminator: str, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """What a discriminator says of samples of all ranks; each rank judges its own."""
        shard = distributed.this_shard()
        own = tuple(map(shard.of, sample)) if isinstance(sample, tuple) else shard.of(sample)
        given = None if condition is None else shard.of(condition)
        return _verdict(self._own.judge(discriminator, own, given))


def gathered(game_round: Round) -> Round:
    """The round over all ranks; the round itself where there is but one."""
    return game_round if distributed.this_shard().world_size == 1 else GatheredRound(game_round)


def _verdict(own: DiscriminatorOutput) -> DiscriminatorOutput:
    gather = distributed.gather
    return dataclasses.replace(
        own,
        logits=gather(own.logits),
        features=tuple(map(gather, own.features)),
        class_logits=None if own.class_logits is None else gather(own.class_logits),
        sample=None if own.sample is None else _sample(own.sample),
        condition=None if own.condition is None else gather(own.condition),
        target=None if own.target is None else gather(own.target),
    )


def _sample(own: Any) -> Any:
    return tuple(map(distributed.gather, own)) if isinstance(own, tuple) else distributed.gather(own)
