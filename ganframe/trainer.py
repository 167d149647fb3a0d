"""The training loop: for each turn of the game, sum its terms, one backward, one optimizer step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganframe.data import Batches
from ganframe.errors import RunFailed
from ganframe.game import Round, Turn
from ganframe.objective import Moment, Sum
from ganframe.randomness import Randomness
from ganframe.run import Run

if TYPE_CHECKING:
    from ganframe.protocols import Sample

Batch = dict[str, Tensor]

LOOK_EVERY = 10
"""Steps between two looks at how often the discriminators are right."""


class Trainer:
    """Takes the steps of a run.

    Args:
        run: The run, at the step from which to go on.
        batches: The data.
    """

    def __init__(self, run: Run, batches: Batches) -> None:
        train = run.experiment.train
        self.run, self.game, self.objective = run, run.game, run.assembly.objective
        self.accumulate = train.accumulate
        self.batches_per_step = run.assembly.batches_per_step
        self.images_per_step = run.assembly.images_per_step
        self.total_images = train.images
        self.channels_last = train.channels_last
        self.optimizer_configs = run.assembly.optimizer_configs()
        self.parameters = {turn.name: self.game.trainable(turn.moves) for turn in self.game.turns}
        self.share_round = run.experiment.game.share_round
        self.randomness = Randomness(run.experiment.seed)
        self.autocast = torch.autocast(run.device.type, torch.bfloat16, enabled=train.precision == "bf16")
        self._batches = batches.starting_at(run.step * self.batches_per_step)

    def done(self) -> bool:
        """Whether the run has seen all its images."""
        return self.run.images >= self.total_images

    def step(self) -> dict[str, float]:
        """Take every turn of one step.

        Returns:
            The scalars of the step, by `turn/name`.

        Raises:
            RunFailed: When a loss or gradient is not finite; the parameters are as before the turn.
        """
        run = self.run
        drawn = [self._prepare(next(self._batches)) for _ in range(self.batches_per_step)]
        scalars: dict[str, float] = {}
        shared = [self._open(batch, "shared", index) for index, batch in enumerate(drawn)] if self.share_round else []
        for turn in self.game.turns:
            for repeat in range(turn.repeats):
                part = slice(repeat * self.accumulate, (repeat + 1) * self.accumulate)
                rounds = shared or [
                    self._open(batch, turn.name, repeat, index) for index, batch in enumerate(drawn[part])
                ]
                scalars |= self._take(turn, repeat, rounds)
        run.step += 1
        run.images += self.images_per_step
        if run.averages is not None:
            run.averages.update()
        run.hooks.hook.on_step_end(run=run, step=run.step, scalars=scalars)
        return scalars

    def _take(self, turn: Turn, repeat: int, rounds: Sequence[Round]) -> dict[str, float]:
        """Move the players of a turn once."""
        moment = Moment(self.run.step * turn.repeats + repeat, self.run.images, self.total_images)
        if not self.objective.active(turn, moment):
            return {}
        objective = self.objective.at(turn, moment)
        observed: list[dict[str, Tensor]] = []
        with self.game.moving(turn.moves):
            for round in rounds:
                round.enter(turn)
                round.randomness.seed_torch(turn.name, self.run.device)
                with self.autocast:
                    outcome: Sum = self.game.play(round, objective)
                observed.append(outcome.terms | self._confidence(round, turn))
                round.leave()
                (outcome.total / len(rounds)).backward()
        scalars = self._checked(turn, observed)
        optimizer = self.run.optimizers[turn.name]
        optimizer.param_groups[0].update(self.optimizer_configs[turn.name].settings(moment.images, moment.total))
        optimizer.step()
        optimizer.zero_grad()
        self.run.hooks.hook.on_turn_end(run=self.run, turn=turn)
        return scalars

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
            size=self.run.experiment.train.batch_size,
            device=self.run.device,
            randomness=self.randomness.at("step", self.run.step, *where),
            augment=self._augment if len(self.run.augmentations) else None,
            shared=self.share_round,
        )

    def _augment(self, sample: Sample, randomness: Randomness) -> Sample:
        for index, augmentation in enumerate(self.run.augmentations):
            sample = augmentation(sample, randomness.generator(f"augmentation {index}", self.run.device))
        return sample

    def _confidence(self, round: Round, turn: Turn) -> dict[str, Tensor]:
        """How often a judge who moves is right, and how far its mean logits lie apart; looked at now and then."""
        found: dict[str, Tensor] = {}
        if (self.run.step + 1) % LOOK_EVERY == 0 and self.game.is_discriminator_turn(turn):
            for contest in round.contests:
                real = round.verdict(contest, "real").logits.detach()
                fake = round.verdict(contest, "fake").logits.detach()
                boundary = self.objective.boundary(contest)
                if boundary is not None:
                    found[f"{contest.name} accuracy on real"] = (real > boundary).float().mean()
                    found[f"{contest.name} accuracy on fake"] = (fake < boundary).float().mean()
                found[f"{contest.name} logit gap"] = real.mean() - fake.mean()
        return found

    def _checked(self, turn: Turn, observed: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
        """The turn's scalars as numbers, in one transfer, once they are known to be finite."""
        gradients = [each.grad for each in self.parameters[turn.name] if each.grad is not None]
        terms = [each[name].detach() for each in observed for name in each]
        # The public get_total_norm takes twice as long over small networks.
        norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        numbers: list[float] = torch.stack([*terms, *norms]).tolist()
        values = {"gradient norm": math.hypot(*numbers[len(terms) :])}
        names = [name for each in observed for name in each]
        for name, number in zip(names, numbers, strict=False):
            values[name] = values.get(name, 0.0) + number / len(observed)
        if not all(map(math.isfinite, values.values())):
            raise RunFailed(self._what_is_not_finite(turn, values))
        return {f"{turn.name}/{name}": value for name, value in values.items()}

    def _what_is_not_finite(self, turn: Turn, values: Mapping[str, float]) -> str:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        what = [f"the term {name!r}" for name in bad if name != "gradient norm"]
        for player in turn.moves:
            gradients = [each.grad for each in self.game.trainable([player]) if each.grad is not None]
            if not all(bool(each.isfinite().all()) for each in gradients):
                what.append(f"the gradient of the player {player!r}")
        return f"step {self.run.step}, turn {turn.name!r}: not finite: {'; '.join(what)}"


@contextlib.contextmanager
def private_randomness(device: torch.device) -> Generator[None, None, None]:
    """Leave the caller's global random state as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def is_due(every: int, before: int, after: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every
