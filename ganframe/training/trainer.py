"""The training loop: for each turn of the game, sum its terms, one backward, one optimizer step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganframe.data.loader import BatchLoader
from ganframe.distributed import collectives as distributed
from ganframe.distributed.precision import autocast
from ganframe.errors import NotFinite, within
from ganframe.game.objective import ActiveTerms, ObjectiveValue
from ganframe.game.round import Round
from ganframe.game.training_progress import TrainingProgress
from ganframe.game.turn import Turn
from ganframe.randomness import Randomness
from ganframe.training.checkpointing import check_finite
from ganframe.training.run import Run
from ganframe.training.scheduled_settings import ScheduledSettings
from ganframe.training.step_metrics import StepMetrics

if TYPE_CHECKING:
    from ganframe.game.protocols import Sample


Batch = dict[str, Tensor]


LOOK_EVERY = 20
"""Steps between two looks at how often the discriminators are right."""


class Trainer:
    """Takes the steps of a run.

    Args:
        run: The run, at the step from which to go on.
        batches: The data.
    """

    def __init__(self, run: Run, batches: BatchLoader) -> None:
        train = run.experiment.train
        self.run, self.game, self.objective = run, run.game, run.assembly.objective
        self.accumulate = train.accumulate
        self.batches_per_step = run.assembly.batches_per_step
        self.images_per_step = run.assembly.images_per_step
        self.total_images = train.images
        self.channels_last = train.channels_last
        self.compiled = train.compile
        self.sharded = run.assembly.sharded
        self.augmentations = run.assembly.augmentations
        self.schedules = ScheduledSettings(run.assembly.components())
        self.optimizer_configs = {
            name: config for name, config in run.assembly.optimizer_configs().items() if config.is_scheduled()
        }
        self.parameters = {
            turn.name: {player: self.game.trainable_parameters([player]) for player in turn.players} for turn in self.game.turns
        }
        moved = {id(each): each for by in self.parameters.values() for own in by.values() for each in own}
        self.moved = [*moved.values(), *(run.averages.tensors() if run.averages else ())]
        self.share_round = run.experiment.game.share_round
        # What turns share is made in the first of them, whatever a later one differentiates by.
        self.requires_grad_tensors = frozenset(name for each in run.experiment.regularizers for name in each.requires_grad_tensors())
        shard = distributed.this_shard()
        self.batch_size = train.batch_size // shard.world_size
        self.randomness = Randomness(run.experiment.seed, shard=shard)
        self.autocast = autocast(train.precision, run.device)
        # Counted in images, which go on where the batch size is changed; upwards, to show none of them twice.
        self._batches = batches.starting_at(math.ceil(run.images / train.batch_size))

    def done(self) -> bool:
        """Whether the run has seen all its images."""
        return self.run.images >= self.total_images

    def close(self) -> None:
        """End the loader workers, which a run that failed would wait for otherwise."""
        self._batches.close()

    def step(self) -> dict[str, float]:
        """Take every turn of one step.

        Returns:
            The scalars of the step, by `turn/name`.

        Raises:
            NotFinite: When a loss, a gradient, or a weight or average that moved is not finite.
        """
        run = self.run
        drawn = [self._prepare(next(self._batches)) for _ in range(self.batches_per_step)]
        readings = StepMetrics()
        self.schedules.apply(run.images, self.total_images)
        self.randomness.at("step", run.step).seed_torch("step", run.device)
        shared = [self._open(batch, "shared", index) for index, batch in enumerate(drawn)] if self.share_round else []
        for turn in self.game.turns:
            for repeat in range(turn.repeats):
                part = slice(repeat * self.accumulate, (repeat + 1) * self.accumulate)
                rounds = shared or [
                    self._open(batch, turn.name, repeat, index) for index, batch in enumerate(drawn[part])
                ]
                self._take(turn, repeat, rounds, readings)
        distributed.all_reduce_buffers(self.game.players.values())
        if run.averages is not None:
            run.averages.update()
        readings.moved(self.moved)
        readings.note(run.reported)
        run.reported = {}
        try:
            scalars = readings.read()
        except NotFinite as problem:
            raise NotFinite(f"step {run.step + 1}, {problem}{_spoilt(drawn)}") from None
        run.step += 1
        run.images += self.images_per_step
        if not readings.moved_is_finite:
            check_finite(run)
        run.hooks.hook.on_step_end(run=run, step=run.step, scalars=scalars)
        return scalars

    def _take(self, turn: Turn, repeat: int, rounds: Sequence[Round], readings: StepMetrics) -> None:
        """Move the players of a turn once."""
        progress = TrainingProgress(self.run.step * turn.repeats + repeat, self.run.images, self.total_images)
        plan = self.objective.plan(turn, progress)
        if not plan.terms:
            return
        objective = self.objective.at(turn, progress)
        observed: list[dict[str, Tensor]] = []
        with self.game.only_trainable(turn.players), self._mode(plan):
            for game_round in rounds:
                # A game may look at other turns first, in which these would be made without a gradient.
                game_round.enter(turn, requires_grad_tensors=plan.requires_grad_tensors)
                with self.autocast:
                    outcome: ObjectiveValue = self.game.play(game_round, objective)
                observed.append(outcome.terms | self._confidence(game_round, turn))
                game_round.leave()
                (outcome.total if len(rounds) == 1 else outcome.total / len(rounds)).backward()
        parameters = self.parameters[turn.name]
        distributed.all_reduce_gradients(each for own in parameters.values() for each in own)
        readings.take(turn.name, observed, parameters)
        optimizer = self.run.optimizers[turn.name]
        if turn.name in self.optimizer_configs:
            settings = self.optimizer_configs[turn.name].settings(progress.images, progress.total)
            optimizer.param_groups[0].update(settings)
        optimizer.step()
        for own in parameters.values():
            for each in own:
                each.grad = None
        self.run.hooks.hook.on_turn_end(run=self.run, turn=turn, rounds=rounds)

    def _mode(self, plan: ActiveTerms) -> contextlib.AbstractContextManager[object]:
        if self.game.needs_double_backward or plan.needs_double_backward:
            if self.sharded:
                from ganframe.distributed.fsdp import in_one_piece  # noqa: PLC0415  takes as long as the rest of ganframe

                return in_one_piece(self.game.players.values())
            if self.compiled:
                # What torch.compile makes has no second derivative, so such a turn runs uncompiled.
                return torch.compiler.set_stance("force_eager")
        return contextlib.nullcontext()

    def _prepare(self, batch: Batch) -> Batch:
        if not self.channels_last:
            return batch
        return {
            name: each.to(memory_format=torch.channels_last) if each.ndim == 4 else each for name, each in batch.items()
        }

    def _open(self, batch: Mapping[str, Tensor], *where: str | int) -> Round:
        return Round(
            self.game,
            batch,
            size=self.batch_size,
            device=self.run.device,
            randomness=self.randomness.at("step", self.run.step, *where),
            augment=self._augment if len(self.augmentations) else None,
            shared=self.share_round,
            requires_grad_tensors=self.requires_grad_tensors if self.share_round else frozenset(),
        )

    def _augment(self, sample: Sample, randomness: Randomness) -> Sample:
        for index, augmentation in enumerate(self.augmentations):
            with within("augmentations", index):
                sample = augmentation(sample, randomness.generator(f"augmentation {index}", self.run.device))
        return sample

    def _confidence(self, game_round: Round, turn: Turn) -> dict[str, Tensor]:
        """How often a judge who moves is right, and how far its mean logits lie apart; looked at now and then."""
        found: dict[str, Tensor] = {}
        if (self.run.step + 1) % LOOK_EVERY or not self.game.is_discriminator_turn(turn):
            return found
        for contest in game_round.contests:
            if (contest.name, "real") in game_round.logits and (contest.name, "fake") in game_round.logits:
                real, fake = game_round.logits[contest.name, "real"], game_round.logits[contest.name, "fake"]
                decision_threshold = self.objective.decision_threshold(contest)
                if decision_threshold is not None:
                    found[f"{contest.name} accuracy on real"] = (real > decision_threshold).float().mean()
                    found[f"{contest.name} accuracy on fake"] = (fake < decision_threshold).float().mean()
                found[f"{contest.name} logit gap"] = real.mean() - fake.mean()
        return found


def _spoilt(drawn: Sequence[Batch]) -> str:
    """Which tensors of the data are to blame, if any."""
    names = {name for batch in drawn for name, each in batch.items() if not bool(each.isfinite().all())}
    return f" (nor are the data: {', '.join(sorted(names))})" if names else ""


@contextlib.contextmanager
def private_randomness(device: torch.device) -> Generator[None, None, None]:
    """Leave the caller's global random state as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def is_due(every: int, before: int, after: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every
