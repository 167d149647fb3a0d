"""A run of a few steps with stand-ins, for checks that need one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

from ganframe.config import GameConfig, LoggerConfig, LossConfig
from ganframe.errors import RunFailed
from ganframe.experiment import Checkpoint, Experiment, Train
from ganframe.game import Contest, Game, Role, Round, Turn, tensor
from ganframe.hookspecs import hookimpl
from ganframe.plugins import installed
from ganframe.protocols import Loss
from ganframe.run import Run, RunFolder
from ganframe.separable import SeparableLoss
from ganframe.specs import DataSpec
from ganframe.testing.stubs import StubData, StubDiscriminator, StubGenerator
from ganframe.training import train

STEPS = 4
BATCH = 8


class _Duel(Game):
    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", ("discriminator",)), Turn("generator", ("generator",)))

    def roles(self) -> dict[str, Role]:
        return {
            "generator": Role(StubGenerator(), ("generator",), self.data["real"]),
            "discriminator": Role(StubDiscriminator(), ("discriminator",), self.data["real"]),
        }

    @tensor
    def fake(self, round: Round) -> Tensor:
        """What the generator makes."""
        return self.generator(round.randomness.normal("latent", (round.size, 3)))


class StubGameConfig(GameConfig):
    """A stand-in generator against a stand-in discriminator."""

    type: Literal["stub"] = "stub"

    def build(self, data: DataSpec) -> Game:
        """See base class."""
        return _Duel(data)


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
