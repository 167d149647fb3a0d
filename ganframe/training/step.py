"""The training step: for each turn of the game, an objective, a backward pass and an optimizer step."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ganframe.data.loader import BatchLoader
from ganframe.distributed.collectives import all_reduce_buffers, all_reduce_gradients
from ganframe.distributed.precision import autocast
from ganframe.distributed.shard import this_shard
from ganframe.errors import NotFinite
from ganframe.game.active_terms import ActiveTerms
from ganframe.game.eval_mode import eval_mode
from ganframe.game.objective import ObjectiveValue, TurnObjective, play
from ganframe.game.protocols import TurnCondition
from ganframe.game.round import Round
from ganframe.game.samples import Sample
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.training.assembly import augment, augmentations_by_discriminator
from ganframe.training.backward import Backward, BalancedBackward, backward_of_sum
from ganframe.training.discriminator_accuracy import discriminator_accuracy
from ganframe.training.idle_players import IdlePlayers
from ganframe.training.run_state import Run
from ganframe.training.save_and_restore import check_finite
from ganframe.training.step_metrics import StepMetrics

Batch = dict[str, Tensor]

ACCURACY_EVERY_STEPS = 20
"""Number of training steps between measurements of the discriminators' accuracy."""


class Trainer:
    """The part of a run that takes its training steps.

    Args:
        run: The run, new or restored. `run.step` steps are already done; training continues with step `run.step + 1`.
        loader: The batches of real examples.
    """

    def __init__(self, run: Run, loader: BatchLoader) -> None:
        experiment, assembly, shard = run.experiment, run.assembly, this_shard()
        self.run, self.game, self.objective = run, run.game, assembly.objective
        self.augmentations = augmentations_by_discriminator(experiment.augmentations, assembly.augmentations, run.game)
        self.schedules = run.schedules
        plans = assembly.turn_optimizers()
        self.optimizers = {turn.name: [plan for plan in plans if plan.turn == turn.name] for turn in self.game.turns}
        self.parameters = {turn.name: assembly.parameters(turn) for turn in self.game.turns}
        self.backward: dict[str, Backward] = {
            turn: BalancedBackward(balancer, experiment.balancers[turn], self.game)
            for turn, balancer in assembly.balancers.items()
        }
        self.is_due: dict[str, Callable[[Turn, int, Sequence[Batch]], bool]] = {
            turn: functools.partial(self._is_met, condition)
            for turn, (_, condition) in assembly.turn_conditions.items()
        }
        trained = {id(p): p for by_owner in self.parameters.values() for own in by_owner.values() for p in own}
        self.updated_tensors = [*trained.values(), *(run.averages.tensors() if run.averages else ())]
        self.idle_players = IdlePlayers(self.objective, run.images)
        self.share_round = experiment.game.share_round
        # Turns that share a round share its tensors. So if one turn differentiates with respect to a tensor, it
        # requires a gradient in all of them.
        self.shared_requires_grad = frozenset(
            name for term in self.objective.terms for name in term.needs.requires_grad_tensors
        )
        self.batch_size = assembly.batch_size // shard.world_size
        self.randomness = Randomness(experiment.seed, shard=shard)
        self.autocast = autocast(experiment.train.precision, run.device)
        # The number of the batch is computed from the images seen, because a resumed run may have another batch size.
        # It is rounded up, so that no example is drawn twice.
        self._batches = loader.starting_at(math.ceil(run.images / assembly.batch_size))

    def done(self) -> bool:
        """Return whether the run has seen `train.total_images` images."""
        return self.run.images >= self.run.experiment.train.total_images

    def close(self) -> None:
        """End the processes that load the data."""
        self._batches.close()

    def step(self) -> dict[str, float]:
        """Take one training step: every turn (optimizer step) of the game, with its repeats.

        Returns:
            The scalars of the step: terms, gradient norms and accuracies, by `turn/name`, and those that hooks
            reported, by their own names.

        Raises:
            NotFinite: When a loss, a gradient, or an updated weight or average is not finite.
        """
        run, assembly = self.run, self.run.assembly
        accumulate = run.experiment.train.gradient_accumulation_steps
        batches = [self._prepare(next(self._batches)) for _ in range(assembly.batches_per_step)]
        self.schedules.apply(run.images, run.experiment.train.total_images)
        self.game.progress = run.progress()
        self.randomness.at("step", run.step).seed_torch("step", run.device)
        shared = [self._open(batch, "shared", index) for index, batch in enumerate(batches)] if self.share_round else []
        metrics = StepMetrics()
        for turn in self.game.turns:
            for repeat in range(turn.repeats):
                own = batches[repeat * accumulate : (repeat + 1) * accumulate]
                if not self.is_due.get(turn.name, always)(turn, repeat, own):
                    continue
                rounds = shared or self._open_turn(turn, repeat, own)
                self._take_turn(turn, rounds, metrics)
        all_reduce_buffers(self.game.players.values())
        if run.averages is not None:
            run.averages.update()
        metrics.add_updated(self.updated_tensors)
        metrics.add_reported(run.reported)
        run.reported = {}
        try:
            scalars = metrics.to_floats()
        except NotFinite as problem:
            raise NotFinite(f"step {run.step + 1}, {problem}{_spoilt_data(batches)}") from None
        run.step += 1
        run.images += assembly.images_per_step
        if not metrics.updated_is_finite:
            check_finite(run)  # names the tensor
        run.hooks.call("on_step_end", run=run, step=run.step, scalars=scalars)
        return scalars

    def _is_met(self, condition: TurnCondition, turn: Turn, repeat: int, batches: Sequence[Batch]) -> bool:
        """Return whether to take a turn (optimizer step), by its condition, on these batches."""
        with eval_mode(self.game), self.autocast:
            rounds = [game_round.in_turn(turn) for game_round in self._open_turn(turn, repeat, batches)]
            return condition.is_met(rounds, self.run.step)

    def _take_turn(self, turn: Turn, rounds: Sequence[Round], metrics: StepMetrics) -> None:
        """Run backward over the accumulated batches of a turn, then take one step of each of its optimizers."""
        run = self.run
        progress = run.progress(run.turn_counts.get(turn.name, 0))
        run.turn_counts[turn.name] = progress.turn_count + 1
        active = self.objective.active_terms(turn, progress)
        if not active.terms:
            return
        self.game.progress = progress
        by_owner = self.parameters[turn.name]
        parameters = [parameter for own in by_owner.values() for parameter in own]
        with self.game.only_trainable(turn.players), self._differentiation(active):
            values = self.backward.get(turn.name, backward_of_sum)(
                (self._compute(game_round, turn, progress) for game_round in rounds), len(rounds)
            )
        self.idle_players.look(turn, active, values, by_owner)
        all_reduce_gradients(parameters)
        metrics.add_turn(turn.name, [value.scalars() for value in values], by_owner)
        for optimizer in self.optimizers[turn.name]:
            optimizer.step(run.optimizers[optimizer.name], progress)
        for parameter in parameters:
            parameter.grad = None
        run.hooks.call("on_turn_end", run=run, turn=turn, rounds=[value.game_round for value in values])

    def _compute(self, game_round: Round, turn: Turn, progress: TrainingProgress) -> ObjectiveValue:
        """Compute the objective of a turn over one batch."""
        with self.autocast:
            game_round = self.objective.open_round(game_round, turn, progress)
            value = play(self.game, game_round, TurnObjective(self.objective, progress))
        if (self.run.step + 1) % ACCURACY_EVERY_STEPS == 0 and self.game.is_discriminator_turn(turn):
            value.accuracies = discriminator_accuracy(value.game_round, self.objective)
        value.game_round.free_outputs()
        return value

    def _differentiation(self, active: ActiveTerms) -> contextlib.AbstractContextManager[object]:
        """Return the context for forward and backward passes with these terms.

        If they need second derivatives, the players are neither sharded nor compiled inside.
        """
        if not (self.game.needs_double_backward or active.needs_double_backward):
            return contextlib.nullcontext()
        if self.run.assembly.sharded:
            from ganframe.distributed.fsdp import unsharded  # takes as long to import as the rest of ganframe

            return unsharded(self.game.players.values())
        if self.run.experiment.train.compile:
            # `torch.compile` does not support second derivatives, so the turn runs uncompiled.
            return torch.compiler.set_stance("force_eager")
        return contextlib.nullcontext()

    def _prepare(self, batch: Batch) -> Batch:
        """Convert the images of a batch to the current resolution and the memory format of the run."""
        batch = self.run.assembly.growing.resize(batch, self.run.images)
        if not self.run.experiment.train.channels_last:
            return batch
        return {
            name: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in batch.items()
        }

    def _open_turn(self, turn: Turn, repeat: int, batches: Sequence[Batch]) -> list[Round]:
        """Return a `Round` for each accumulated batch, which other turns do not use."""
        return [self._open(batch, turn.name, repeat, index) for index, batch in enumerate(batches)]

    def _open(self, batch: Mapping[str, Tensor], *counters: str | int) -> Round:
        return Round(
            self.game,
            batch,
            size=self.batch_size,
            device=self.run.device,
            randomness=self.randomness.at("step", self.run.step, *counters),
            augment=self._augment if self.augmentations else None,
            shared=self.share_round,
            requires_grad_tensors=self.shared_requires_grad if self.share_round else frozenset(),
        )

    def _augment(self, discriminator: str, sample: Sample, randomness: Randomness) -> Sample:
        return augment(self.augmentations.get(discriminator, ()), sample, randomness, self.run.device)


def always(turn: Turn, repeat: int, batches: Sequence[Batch]) -> bool:
    """Return True, for a turn (optimizer step) without a condition, which is taken in every training step."""
    return True


def _spoilt_data(batches: Sequence[Batch]) -> str:
    """Return a note for an error that names the data tensors that are not finite; empty if all are finite."""
    names = {name for batch in batches for name, value in batch.items() if not bool(value.isfinite().all())}
    return f" (nor are the data: {', '.join(sorted(names))})" if names else ""
