"""Rounds: the named tensors of one batch, made when they are first read, and the discriminator outputs for them.

A turn is one optimizer step of some of the networks. B is the batch size; every tensor has the batch axis first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from ganframe.game.contest import ConditionName, Contest, Side
from ganframe.game.discriminator_output import DeferredOutput, DiscriminatorOutput, check_output
from ganframe.game.made_tensor_checks import check_given, makers_in_a_circle, unknown_tensor
from ganframe.game.samples import Sample, map_parts, sample_parts
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.plugins.author_code import source_of
from ganframe.randomness import Randomness

if TYPE_CHECKING:
    from ganframe.game.game import Game

Augment = Callable[[str, Sample, Randomness], Sample]
"""A function that augments samples for a discriminator. Arguments: the player's name, the samples, the source of
random draws."""
Weights = Mapping[str, Mapping[str, Tensor]]
"""The parameters and buffers of each player, by the player's name and then by their own."""


@dataclass
class MadeTensors:
    """The tensors made so far from one batch, shared by all turns (optimizer steps) that use the batch.

    Attributes:
        values: The tensors that were read or made so far, by name.
        requires_grad: Names of the tensors that must require a gradient.
        being_made: Names of the tensors whose makers (`@tensor` methods of the game) are running now, outermost first.
        discriminator_calls: Number of times that a discriminator was run with augmentations.
    """

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    requires_grad: frozenset[str] = frozenset()
    being_made: list[str] = field(default_factory=list[str])
    discriminator_calls: int = 0


class Round(Mapping[str, Any]):
    """The named tensors of one batch in one turn (optimizer step), as a mapping.

    A tensor is made when it is first read. All turns that use the batch share the tensors that were made.

    Args:
        game: The game.
        batch: The tensors that the data set gives, by name.
        size: Number of examples in the batch, B.
        device: The device of the tensors.
        randomness: The source of random draws.
        augment: Changes samples before a discriminator sees them; None for no augmentation.
        shared: Whether several turns use the batch. If so, tensors are made with their autograd graph even in a turn
            that trains a discriminator, so that a generator's turn can use them.
        turn: The turn; None outside training.
        grad_wrt_sides: The sides, `real` or `fake`, whose samples must require a gradient.
        requires_grad_tensors: Names of the tensors that must require a gradient.
        discriminator_weights: Weights by player name, which replace a discriminator's own, for games that simulate
            discriminator steps (unrolled GAN).
        made: The tensors that other turns have already made from the batch; None if there are no other turns.

    Attributes:
        game: The game.
        size: Number of examples in the batch of this rank, B: the number of rows of every tensor.
        device: The device of the tensors. Makers and terms must put their own tensors there.
        randomness: The source of random draws, which follow from the seed, the step and the turn. Makers and terms
            must draw from nothing else.
        turn: The turn; None outside training.
        logits: The detached logits of the discriminators in this turn so far, by contest name and side:
            `("discriminator", "real")`. Those of a single head have the key `("CONTEST HEAD", side)`.
        discriminator_weights: Weights by player name, which discriminators use in place of their own.
    """

    def __init__(
        self,
        game: Game,
        batch: Mapping[str, Tensor],
        *,
        size: int,
        device: torch.device,
        randomness: Randomness,
        augment: Augment | None = None,
        shared: bool = False,
        turn: Turn | None = None,
        grad_wrt_sides: frozenset[Side] = frozenset(),
        requires_grad_tensors: frozenset[str] = frozenset(),
        discriminator_weights: Weights | None = None,
        made: MadeTensors | None = None,
    ) -> None:
        self.game = game
        self.size = size
        self.device = device
        self.randomness = randomness
        self.turn = turn
        self.logits: dict[tuple[str, Side], Tensor] = {}
        self._batch = batch
        self._augment = augment
        self._shared = shared
        self._grad_wrt_sides = grad_wrt_sides
        self.discriminator_weights: Weights = discriminator_weights or {}
        self._made = MadeTensors() if made is None else made
        self._made.requires_grad |= requires_grad_tensors
        self._outputs: dict[tuple[str, str, ConditionName | None], DiscriminatorOutput] = {}
        self._contest_names: Collection[str] | None = None

    def in_turn(
        self,
        turn: Turn,
        *,
        grad_wrt_sides: frozenset[Side] = frozenset(),
        requires_grad_tensors: frozenset[str] = frozenset(),
    ) -> Round:
        """Return a round for a turn (optimizer step), with the same tensors but without discriminator outputs.

        Args:
            turn: The turn.
            grad_wrt_sides: The sides, `real` or `fake`, whose samples must require a gradient.
            requires_grad_tensors: Names of the tensors that must require a gradient.
        """
        return self._view(turn, grad_wrt_sides, requires_grad_tensors, self.discriminator_weights)

    def with_discriminator_weights(self, weights: Weights) -> Round:
        """Return a round with the same tensors, whose discriminators use these weights in place of their own."""
        return self._view(self.turn, self._grad_wrt_sides, frozenset(), weights)

    def _view(
        self,
        turn: Turn | None,
        grad_wrt_sides: frozenset[Side],
        requires_grad_tensors: frozenset[str],
        discriminator_weights: Weights,
    ) -> Round:
        return Round(
            self.game,
            self._batch,
            size=self.size,
            device=self.device,
            randomness=self.randomness,
            augment=self._augment,
            shared=self._shared,
            turn=turn,
            grad_wrt_sides=grad_wrt_sides,
            requires_grad_tensors=requires_grad_tensors,
            discriminator_weights=discriminator_weights,
            made=self._made,
        )

    def __getitem__(self, name: str) -> Any:
        """Return a named tensor `(B, ...)`, or a tuple of tensors; make it if this is the first read.

        If several turns share the tensors, a turn that trains a discriminator gets them detached.
        """
        made = self._made
        if name not in made.values:
            for new_name, value in self._make(name).items():
                made.values[new_name] = map_parts(value, _requiring_grad) if new_name in made.requires_grad else value
        value = made.values[name]
        detached = self._shared and not made.being_made
        if detached and self.turn is not None and self.game.is_discriminator_turn(self.turn):
            return map_parts(value, Tensor.detach)
        return value

    def _make(self, name: str) -> Mapping[str, Any]:
        """Read a tensor from the batch, or call its maker; return all tensors that this gives, by name."""
        if name in self._batch:
            given = self._batch[name]
            check_given(self.game, name, given, self.size)
            return {name: given}
        if name not in self.game.makers:
            raise unknown_tensor(self.game, name, self._made.being_made)
        running = self._made.being_made
        if name in running:
            raise makers_in_a_circle(self.game, [*running[running.index(name) :], name])
        running.append(name)
        try:
            if not self._shared or len(running) > 1:
                return self.game.make(name, self)
            # A later turn may train the generators and then needs the graph of these tensors. So while a maker runs, no
            # tensor that it reads is detached, and the generators require gradients, also in a discriminator's turn.
            with self.game.only_trainable(set(self.game.players) - self.game.discriminators):
                return self.game.make(name, self)
        finally:
            running.pop()

    def __contains__(self, name: object) -> bool:
        """Return whether there is a tensor of this name, made or not."""
        return name in self._batch or name in self.game.makers

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the tensors."""
        return iter(self.game.names)

    def __len__(self) -> int:
        """Return the number of named tensors, made or not."""
        return len(self.game.names)

    def made(self) -> Mapping[str, Any]:
        """Return the tensors that were read or made so far, by name."""
        return dict(self._made.values)

    @property
    def contests(self) -> tuple[Contest, ...]:
        """The contests (pairs of real and fake tensors) of the current turn; outside training, all of the game."""
        contests = self.game.contests if self.turn is None else self.game.contests_of(self.turn)
        if self._contest_names is None:
            return contests
        return tuple(contest for contest in contests if contest.name in self._contest_names)

    @property
    def progress(self) -> TrainingProgress:
        """The point of the run, in images seen; while sampling, the point at which the weights were saved."""
        return self.game.progress

    def limited_to(self, contest_names: Collection[str]) -> Round:
        """Return the same round with only some of its contests, for a term that reads no others."""
        limited = copy.copy(self)  # shares the tensors and the discriminator outputs
        limited._contest_names = contest_names
        return limited

    def discriminator_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
        """Return the discriminator's output for one side of a contest; only the first call runs the discriminator."""
        name, condition_name = contest.real, contest.real_condition
        if side == "fake":
            name, condition_name = contest.fake, contest.fake_condition
            if contest.replay and self.turn is not None and self.game.is_discriminator_turn(self.turn):
                name = contest.replay
        key = (contest.discriminator, name, condition_name)
        if key not in self._outputs:
            condition = None if condition_name is None else self._condition(condition_name)
            sample = self[name]
            if side in self._grad_wrt_sides:
                sample = map_parts(sample, _requiring_grad)
            self._outputs[key] = self.discriminate(contest.discriminator, sample, condition)
        output = self._outputs[key]
        if (contest.name, side) not in self.logits:
            self.logits[contest.name, side] = output.logits.detach()
            for head, head_output in zip(self.game.heads(contest.discriminator), output.heads, strict=True):
                self.logits[f"{contest.name} {head}", side] = head_output.logits.detach()
        return output

    def _condition(self, name: ConditionName) -> Sample:
        return self[name] if isinstance(name, str) else tuple(self[each] for each in name)

    def deferred_output(self, contest: Contest, side: Side) -> DiscriminatorOutput:
        """Return the discriminator's output for one side of a contest, computed when an attribute is first read."""
        return DeferredOutput(lambda: self.discriminator_output(contest, side))

    def discriminate(self, discriminator: str, sample: Sample, condition: Sample | None = None) -> DiscriminatorOutput:
        """Augment any samples, run a discriminator on them and return its output.

        Logits and class logits are at least float32, so that losses and penalties never compute in bf16.

        Args:
            discriminator: Name of the player.
            sample: The samples: one tensor `(B, ...)`, or a tuple of tensors if each sample consists of several.
            condition: The condition of each sample: one tensor `(B, ...)`, or a tuple of tensors; None if the
                discriminator is unconditional.
        """
        augmented = sample
        if self._augment is not None:
            # Each call has its own draws: with the same draws for reals and fakes, their outputs would be correlated.
            randomness = self.randomness.at("judged", self._made.discriminator_calls)
            augmented = self._augment(discriminator, sample, randomness)
            self._made.discriminator_calls += 1
        player = self.game.players[discriminator]
        inputs = (augmented,) if condition is None else (augmented, condition)
        weights = self.discriminator_weights.get(discriminator)
        try:
            output: DiscriminatorOutput = (
                player(*inputs) if weights is None else functional_call(player, dict(weights), inputs)
            )
        except Exception as problem:
            problem.add_note(f"in the discriminator {discriminator!r}, {source_of(type(player).forward)}")
            raise
        check_output(output, discriminator, player, self.game.heads(discriminator), len(sample_parts(sample)[0]))
        output.widen()
        output.describe(sample, condition)
        return output

    def free_outputs(self) -> None:
        """Drop the stored discriminator outputs, so that the backward pass can free activations while it runs."""
        self._outputs.clear()


def _requiring_grad(sample: Tensor) -> Tensor:
    """Return `sample` detached and requiring a gradient; unchanged if it already does or is not floating-point."""
    return sample if sample.requires_grad or not sample.is_floating_point() else sample.detach().requires_grad_()
