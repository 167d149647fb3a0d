"""Runs for tests: a few steps with fakes, and a run with and without an interruption."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import softplus
from typing_extensions import override

from ganframe.api import train
from ganframe.config.component_kinds import LoggerConfig
from ganframe.config.experiment import Checkpoint, Experiment, Train
from ganframe.config.hook_markers import hookimpl
from ganframe.config.terms import LossConfig
from ganframe.errors import RunFailed
from ganframe.game.protocols import Loss
from ganframe.game.separable_loss import SeparableLoss
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoint_files import list_checkpoints, load
from ganframe.runs.folder import RunFolder
from ganframe.testing.fakes import FakeData, FakeGameConfig

STEPS = 4
BATCH = 8


class _Logistic(SeparableLoss):
    def real_loss(self, logits: Tensor) -> Tensor:
        return softplus(-logits)

    def fake_loss(self, logits: Tensor) -> Tensor:
        return softplus(logits)


class FakeLoss(LossConfig):
    """Binary cross entropy."""

    type: Literal["stub"] = "stub"

    @override
    def build(self) -> Loss:
        return _Logistic()


class Interrupted(RunFailed):
    """A run was interrupted."""


class InterruptAfter:
    """A hook that interrupts a run.

    Args:
        step: The step after which the run is interrupted.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        """Raise before a checkpoint of the step is saved.

        Raises:
            Interrupted: After the step.
        """
        if step == self.step:
            raise Interrupted(f"interrupted after step {step}")


def train_whole_and_resumed(
    experiment: Experiment, folder: Path, *, stop_after: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train without an interruption, and once more with one; the two checkpoints must be equal.

    Args:
        experiment: The config.
        folder: The folder of the runs `whole` and `resumed`.
        stop_after: The step after which the second run is interrupted.

    Returns:
        The sections of the last checkpoints of the two runs.
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
    """Train fakes for four steps, or interrupt the run before.

    Args:
        out: The run folder.
        loggers: The loggers of the run.
        stop_after: The step after which the run is interrupted; its last checkpoint is that of the step before.
        resume: Resume the run in `out`.

    Returns:
        The run folder; None when the run was interrupted.
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
