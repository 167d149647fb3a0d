"""Training runs for tests: a few steps with stand-ins, and the same run with and without an interruption."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganframe.api import train
from ganframe.config.component_kinds import LoggerConfig
from ganframe.config.experiment import Checkpoint, Experiment, Train
from ganframe.config.hook_markers import hookimpl
from ganframe.errors import RunFailed
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.runs.folder import RunFolder
from ganframe.testing.fakes import FakeData, FakeGameConfig, FakeLoss

STEPS = 4
BATCH = 8


class Interrupted(RunFailed):
    """The error with which a test interrupts a run."""


class InterruptAfter:
    """A hook that interrupts a run after a training step.

    Args:
        step: The number of the step, from 1.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        """Interrupt the run if this is the chosen step, before its checkpoint is saved.

        Raises:
            Interrupted: When this is the chosen step.
        """
        if step == self.step:
            raise Interrupted(f"interrupted after step {step}")


def train_whole_and_resumed(
    experiment: Experiment, folder: Path, *, stop_after: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train a config twice: once without interruption, and once interrupted and resumed.

    Args:
        experiment: The config.
        folder: The folder in which the run folders `whole` and `resumed` are created.
        stop_after: The step after which the second run is interrupted, from 1.

    Returns:
        The state in the last checkpoint of the first and of the second run, by section. The two must be equal.
    """
    whole, resumed = folder / "whole", folder / "resumed"
    train(experiment, out=whole)
    with contextlib.suppress(Interrupted):
        train(experiment, out=resumed, hooks=[InterruptAfter(stop_after)])
    train(experiment, out=resumed, resume=True)
    (_, first), (_, second) = (load(list_checkpoints(run / "checkpoints")[0]) for run in (whole, resumed))
    return first, second


def tiny_run(
    out: Path, *, loggers: Sequence[LoggerConfig] = (), stop_after: int | None = None, resume: bool = False
) -> RunFolder | None:
    """Train a stand-in game for four steps, or interrupt it earlier.

    Args:
        out: The run folder.
        loggers: The loggers of the run.
        stop_after: The number of the step, counted from 1, after which the run is interrupted, before the checkpoint of
            that step is saved. If None, the run is not interrupted.
        resume: Whether to resume the run in `out`.

    Returns:
        The run folder; None if the run was interrupted.
    """
    registry = installed().registry
    for cls in (FakeGameConfig, FakeLoss, FakeData):
        if (cls.kind, "stub") not in registry.classes:
            registry.add(cls, "ganframe")
    experiment = Experiment(
        game=FakeGameConfig(),
        losses=(FakeLoss(),),
        data=FakeData(),
        train=Train(total_images=STEPS * BATCH, batch_size=BATCH, device="cpu"),
        checkpoint=Checkpoint(every_images=BATCH),
        loggers=tuple(loggers),
    )
    try:
        return train(experiment, out=out, resume=resume, hooks=[InterruptAfter(stop_after)] if stop_after else [])
    except Interrupted:
        return None
