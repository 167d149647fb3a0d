"""Runs for tests: a few steps with stand-ins, and the same run without and with a break."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import softplus

from ganframe.api import train
from ganframe.config.experiment import Checkpoint, Experiment, Train
from ganframe.config.kinds import LoggerConfig
from ganframe.config.markers import hookimpl
from ganframe.config.terms import LossConfig
from ganframe.errors import RunFailed
from ganframe.game.losses import SeparableLoss
from ganframe.game.protocols import Loss
from ganframe.plugins.discovery import installed
from ganframe.runs.checkpoints import list_checkpoints, load
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

    def build(self) -> Loss:
        """See base class."""
        return _Logistic()


class Stopped(RunFailed):
    """A run that was broken off."""


class StopAfter:
    """A hook that breaks a run off.

    Args:
        step: The step after which it does.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, step: int) -> None:
        """Break off, before anything of the step is saved."""
        if step == self.step:
            raise Stopped(f"broken off after step {step}")


def whole_and_resumed(
    experiment: Experiment, folder: Path, *, stop_after: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train without a break, and once more with one; whatever a plugin keeps must come out the same.

    Args:
        experiment: What to train.
        folder: Where the runs `whole` and `resumed` are made.
        stop_after: The step after which the second run breaks off.

    Returns:
        What the last checkpoints of the two runs hold.
    """
    whole, resumed = folder / "whole", folder / "resumed"
    train(experiment, out=whole)
    with contextlib.suppress(Stopped):
        train(experiment, out=resumed, hooks=[StopAfter(stop_after)])
    train(experiment, out=resumed, resume=True)
    (_, first), (_, second) = (load(list_checkpoints(run / "checkpoints")[0]) for run in (whole, resumed))
    return first, second


def tiny_run(
    out: Path, *, loggers: Sequence[LoggerConfig] = (), stop_after: int | None = None, resume: bool = False
) -> RunFolder | None:
    """Train stand-ins for four steps, or stop in the middle.

    Args:
        out: The run folder.
        loggers: Loggers that take part.
        stop_after: The step after which the run breaks off; its last checkpoint is that of the step before.
        resume: Go on with the run in `out`.

    Returns:
        The run folder; None when the run broke off.
    """
    registry = installed().registry
    for cls in (FakeGameConfig, FakeLoss, FakeData):
        if (cls.kind, "stub") not in registry.classes:
            registry.add(cls, "ganframe")
    experiment = Experiment(
        game=FakeGameConfig(),
        losses=(FakeLoss(),),
        data=FakeData(),
        train=Train(images=STEPS * BATCH, batch_size=BATCH, device="cpu"),
        checkpoint=Checkpoint(every_images=BATCH),
        loggers=tuple(loggers),
    )
    try:
        return train(experiment, out=out, resume=resume, hooks=[StopAfter(stop_after)] if stop_after else [])
    except Stopped:
        return None
