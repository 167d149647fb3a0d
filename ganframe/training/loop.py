"""The training loop: steps, and after each the callbacks and the checkpoint that are due, until the end or a signal."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ganframe.data.class_labels import labels_to_balance
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.data.unreadable_files import Quarantine
from ganframe.distributed.notices import print_notice
from ganframe.distributed.shard import this_shard
from ganframe.errors import NotFinite
from ganframe.randomness import Randomness
from ganframe.training.loop_callbacks import Callback, is_due
from ganframe.training.parameter_changes import change_parameters
from ganframe.training.run_state import Run
from ganframe.training.save_and_restore import check_finite, roll_back, save_checkpoint
from ganframe.training.save_clock import SaveClock
from ganframe.training.step import Trainer
from ganframe.training.stop_request import EvaluationAborted, StopRequest


def run_loop(run: Run, dataset: Dataset, callbacks: Sequence[Callback]) -> None:
    """Train a run from its current step to its end.

    Args:
        run: The run, new or restored.
        dataset: The training data.
        callbacks: The callbacks, in the order in which they are called.

    Raises:
        RunFailed: When the run cannot continue, such as after a loss that is not finite, and after SIGTERM or SIGHUP.
        KeyboardInterrupt: After SIGINT. After a signal, a checkpoint is saved first, unless a second signal arrives.
    """
    stop_request = StopRequest()
    clock = SaveClock(run.experiment.checkpoint.every_minutes)
    trainer: Trainer | None = None
    try:
        run.hooks.call("on_run_start", run=run)
        if run.experiment.train.on_nonfinite == "rollback" and not run.resumed:
            save_checkpoint(run)
        trainer = Trainer(run, _batch_loader(run, dataset))
        with stop_request:
            if not run.evaluation_done:
                complete_step(run, run.images - run.assembly.images_per_step, callbacks, stop_request, clock)
            while not trainer.done() and not run.stops_early:
                previous_images = run.images
                try:
                    trainer.step()
                    changed = change_parameters(run, run.images)
                    if changed:
                        trainer = _new_trainer(trainer, dataset)
                    # Players cannot shrink, so a rollback must not cross this point: save as soon as they have grown.
                    complete_step(run, previous_images, callbacks, stop_request, clock, save=changed)
                except NotFinite as problem:
                    roll_back(run, problem)
                    trainer = _new_trainer(trainer, dataset)
    except BaseException as problem:
        # A second failure, such as that of a log on a full disk, must not hide the first.
        with contextlib.suppress(Exception):
            run.hooks.call("on_run_end", run=run, error=problem)
        if not stop_request.at_once:
            with contextlib.suppress(Exception):
                _end(run, callbacks)
        raise
    finally:
        if trainer is not None:
            trainer.close()
    if run.best is not None and run.best.stops_run and run.images < run.experiment.train.total_images:
        print_notice("stopped early", run.best.describe_stop())
    run.hooks.call("on_run_end", run=run, error=None)
    _end(run, callbacks)


def complete_step(
    run: Run,
    previous_images: int,
    callbacks: Sequence[Callback],
    stop_request: StopRequest,
    clock: SaveClock,
    *,
    save: bool = False,
) -> None:
    """Call the callbacks that are due after a step, save a checkpoint if one is due, and stop on request.

    A checkpoint is also due when its measurement is the best one. If a measurement ends the run early, the other
    callbacks are called too, as after the last step.

    Args:
        run: The run.
        previous_images: Real examples seen before the step.
        callbacks: The callbacks, in the order in which they are called.
        stop_request: Whether the run was asked to stop. If so, a checkpoint is saved first. If a callback was
            interrupted, the callbacks of this step are called again when the run is resumed.
        clock: Whether a checkpoint is due by time.
        save: Whether to save a checkpoint even if none is due.
    """
    train = run.experiment.train
    done = run.images >= train.total_images
    every = run.experiment.checkpoint.every_images or max(train.total_images // 10, 1)
    saves = save or done or not run.evaluation_done or is_due(every, previous_images, run.images)
    due = [callback for callback in callbacks if done or callback.is_due(run, previous_images)]
    if due:
        check_finite(run)
    if done and run.evaluation_done and run.experiment.evaluate is not None:
        # The last evaluation may take long, so the last steps are saved before it.
        run.evaluation_done = False
        save_checkpoint(run)
    run.evaluation_done = True
    for callback in due:
        try:
            callback.after_step(run, stop_request)
        except EvaluationAborted:
            run.evaluation_done = False
            break
    if run.stops_early and not done:
        done = True
        for callback in callbacks:
            if callback not in due:
                callback.after_step(run, stop_request)
    saves = saves or run.stops_early or run.is_best
    if not stop_request.is_asked_or(clock.is_due()) and not saves:
        return
    save_checkpoint(run)
    clock.restart()
    if (not done or not run.evaluation_done) and stop_request.is_asked():
        stop_request.stop()


def _end(run: Run, callbacks: Sequence[Callback]) -> None:
    for callback in callbacks:
        callback.at_end(run)


def _new_trainer(before: Trainer, dataset: Dataset) -> Trainer:
    """End the loader processes of a trainer, and return a new one that continues from the run's current state."""
    before.close()
    return Trainer(before.run, _batch_loader(before.run, dataset))


def _batch_loader(run: Run, dataset: Dataset) -> BatchLoader:
    """Return the loader of the run's batches. Each rollback changes the order of the examples."""
    train, shard = run.experiment.train, this_shard()
    randomness = Randomness(run.experiment.seed).at("data", *(["rollback", run.rollbacks] if run.rollbacks else []))
    quarantine = Quarantine(run.folder.quarantine(shard.rank))
    size = run.assembly.batch_size // shard.world_size
    labels = labels_to_balance(train.balance_classes, dataset, run.game.data)
    return BatchLoader(dataset, size, randomness, run.device, train.workers, shard, quarantine, labels)
