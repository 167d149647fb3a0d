"""A run of a few steps with stand-ins, for checks that need one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

from ganframe.config import LoggerConfig, LossConfig
from ganframe.errors import RunFailed
from ganframe.experiment import Checkpoint, Experiment, Train
from ganframe.hookspecs import hookimpl
from ganframe.plugins import installed
from ganframe.protocols import Loss
from ganframe.run import Run, RunFolder
from ganframe.separable import SeparableLoss
from ganframe.testing.stubs import StubData, StubGameConfig
from ganframe.training import train

STEPS = 4
BATCH = 8


class _Logistic(SeparableLoss):
    def as_real(self, logits: Tensor) -> Tensor:
        return softplus(-logits)

    def as_fake(self, logits: Tensor) -> Tensor:
        return softplus(logits)


class StubLoss(LossConfig):
    """Binary cross entropy."""

    type: Literal["stub"] = "stub"

    def build(self) -> Loss:
        """See base class."""
        return _Logistic()


class _Stop(RunFailed):
    pass


class _StopAfter:
    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl(trylast=True)
    def on_step_end(self, run: Run, step: int) -> None:
        if step == self.step:
            raise _Stop("stopped in the middle")


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
    for cls in (StubGameConfig, StubLoss, StubData):
        if (cls.kind, "stub") not in registry.classes:
            registry.add(cls, "ganframe")
    experiment = Experiment(
        game=StubGameConfig(),
        losses=(StubLoss(),),
        data=StubData(),
        train=Train(images=STEPS * BATCH, batch_size=BATCH, device="cpu"),
        checkpoint=Checkpoint(every_images=BATCH),
        loggers=tuple(loggers),
    )
    try:
        return train(experiment, out=out, resume=resume, hooks=[_StopAfter(stop_after)] if stop_after else [])
    except _Stop:
        return None
