"""The training loop: step, then whatever is due, until all images were seen or the run is asked to stop."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.data.unreadable_files import Quarantine
from ganframe.distributed.shard import this_shard
from ganframe.errors import NotFinite
from ganframe.randomness import Randomness
from ganframe.training.loop_callbacks import Callback, is_due
from ganframe.training.run_state import Run
from ganframe.training.save_and_restore import check_finite, roll_back, save_checkpoint
from ganframe.training.step import Trainer
from ganframe.training.stop_request import EvaluationAborted, StopRequest


def run_loop(run: Run, dataset: Dataset, callbacks: Sequence[Callback]) -> None:
    """Train a run to its end.

    Args:
        run: The run, new or restored.
        dataset: The data.
        callbacks: The work beside the steps, in order.

    Raises:
        RunFailed: When the run cannot go on.
        KeyboardInterrupt: After SIGINT, with a checkpoint saved.
    """
    stop_request = StopRequest()
    trainer: Trainer | None = None
    try:
        run.hooks.call("on_run_start", run=run)
        if run.experiment.train.on_nonfinite == "rollback" and not run.resumed:
            save_checkpoint(run)
        trainer = Trainer(run, _batch_loader(run, dataset))
        with stop_request:
            if not run.evaluation_done:
                complete_step(run, run.images - run.assembly.images_per_step, callbacks, stop_request)
            while not trainer.done():
                previous_images = run.images
                try:
                    trainer.step()
                    complete_step(run, previous_images, callbacks, stop_request)
                except NotFinite as problem:
                    roll_back(run, problem)
                    trainer.close()
                    trainer = Trainer(run, _batch_loader(run, dataset))
    except BaseException as problem:
        # A second failure, such as of a log on a full disk, must not hide the first.
        with contextlib.suppress(Exception):
            run.hooks.call("on_run_end", run=run, error=problem)
        if not stop_request.at_once:
            with contextlib.suppress(Exception):
                _end(run, callbacks)
        raise
    finally:
        if trainer is not None:
            trainer.close()
    run.hooks.call("on_run_end", run=run, error=None)
    _end(run, callbacks)


def complete_step(run: Run, previous_images: int, callbacks: Sequence[Callback], stop_request: StopRequest) -> None:
    """Call the callbacks that are due after a step, save a checkpoint if one is due, and stop if that was asked for.

    Args:
        run: The run.
        previous_images: Images seen before the step.
        callbacks: The work beside the steps, in order.
        stop_request: Whether the run was asked to stop: it does so with a checkpoint, and an evaluation that is under
            way is done anew when the run is resumed.
    """
    train = run.experiment.train
    done = run.images >= train.total_images
    every = run.experiment.checkpoint.every_images or max(train.total_images // 10, 1)
    saves = done or not run.evaluation_done or is_due(every, previous_images, run.images)
    due = [callback for callback in callbacks if done or callback.is_due(run, previous_images)]
    if due:
        check_finite(run)
    run.evaluation_done = True
    for callback in due:
        try:
            callback.after_step(run, stop_request)
        except EvaluationAborted:
            run.evaluation_done = False
            break
    if saves or stop_request.is_asked():
        save_checkpoint(run)
    if (not done or not run.evaluation_done) and stop_request.is_asked():
        stop_request.stop()


def _end(run: Run, callbacks: Sequence[Callback]) -> None:
    for callback in callbacks:
        callback.at_end(run)


def _batch_loader(run: Run, dataset: Dataset) -> BatchLoader:
    """Return the batches of a run; after a rollback those to come differ from those that were."""
    train, shard = run.experiment.train, this_shard()
    randomness = Randomness(run.experiment.seed).at("data", *(["rollback", run.rollbacks] if run.rollbacks else []))
    quarantine = Quarantine(run.folder.quarantine(shard.rank))
    size = train.batch_size // shard.world_size
    return BatchLoader(dataset, size, randomness, run.device, train.workers, shard, quarantine)
