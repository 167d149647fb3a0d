"""The components of the core itself: number schedules, optimizers, and the JSONL log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from ganframe.config import (
    Bounds,
    Component,
    LoggerConfig,
    OptimizerConfig,
    ScheduleConfig,
    Scheduled,
    Settings,
    value_at,
)
from ganframe.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.protocols import Optimizer


class _Ramp(ScheduleConfig):
    start: float
    """Value before the ramp."""
    end: float
    """Value after the ramp."""
    after: int = Field(default=0, ge=0)
    """Images seen when the ramp begins."""
    images: int | None = Field(default=None, ge=1)
    """Images that the ramp takes; to the end of the run when left out."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"start": 1.0, "end": 0.0}

    def extremes(self) -> tuple[float, float]:
        """See base class."""
        return min(self.start, self.end), max(self.start, self.end)

    def progress(self, images: int, total: int) -> float:
        """How much of the ramp is done, in [0, 1]."""
        length = max(total - self.after, 1) if self.images is None else self.images
        return min(max((images - self.after) / length, 0.0), 1.0)


class Linear(_Ramp):
    """A straight line from `start` to `end`."""

    type: Literal["linear"] = "linear"

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return self.start + (self.end - self.start) * self.progress(images, total)


class Cosine(_Ramp):
    """Half a cosine from `start` to `end`."""

    paper = "Loshchilov and Hutter 2017, SGDR, eq. 5"
    type: Literal["cosine"] = "cosine"

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.progress(images, total))) / 2


class Step(Settings):
    """One step of a piecewise schedule."""

    images: int = Field(ge=0)
    """Images seen when the value begins to hold."""
    value: float
    """The value from then on."""


class Piecewise(ScheduleConfig):
    """A value that changes in steps."""

    type: Literal["piecewise"] = "piecewise"
    steps: tuple[Step, ...] = Field(min_length=1)
    """The steps, by rising `images`; the first must begin at 0."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"steps": [{"images": 0, "value": 1.0}, {"images": 500, "value": 0.1}]}

    @model_validator(mode="after")
    def _ordered(self) -> Piecewise:
        at = [step.images for step in self.steps]
        if at[0] != 0 or at != sorted(set(at)):
            raise ValueError(f"steps begin at 0 and rise, but stand at {at}")
        return self

    def at(self, images: int, total: int) -> float:
        """See base class."""
        return [step.value for step in self.steps if step.images <= images][-1]

    def extremes(self) -> tuple[float, float]:
        """See base class."""
        values = [step.value for step in self.steps]
        return min(values), max(values)


DecayRate = Annotated[Scheduled, Bounds(ge=0, lt=1)]
"""How much of a running mean stays in a step."""


class Adam(OptimizerConfig):
    """Adam, with the momentum that GANs use; fused where PyTorch can."""

    paper = "Kingma and Ba 2015, arXiv:1412.6980; betas after Radford et al. 2016, arXiv:1511.06434"
    type: Literal["adam"] = "adam"
    betas: tuple[DecayRate, DecayRate] = (0.5, 0.999)
    """Decay rates of the first and second moment; numbers in [0, 1) or schedules."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""

    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """See base class."""
        return _adam(parameters, **self.settings(0, 1), eps=self.eps)

    def settings(self, images: int, total: int) -> dict[str, Any]:
        """See base class."""
        beta1, beta2 = self.betas
        betas = value_at(beta1, images, total), value_at(beta2, images, total)
        return {"lr": value_at(self.lr, images, total), "betas": betas}


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    paper = "Loshchilov and Hutter 2019, arXiv:1711.05101"
    type: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]
    weight_decay: float = Field(default=0.01, ge=0)
    """Decay of the weights at each step, times the learning rate."""

    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """See base class."""
        decay: dict[str, Any] = {"weight_decay": self.weight_decay, "decoupled_weight_decay": True}
        return _adam(parameters, **self.settings(0, 1), eps=self.eps, **decay)


class RMSprop(OptimizerConfig):
    """RMSprop, as WGAN with weight clipping uses it."""

    paper = "Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1"
    type: Literal["rmsprop"] = "rmsprop"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 5e-5
    """Learning rate; a number or a schedule."""
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Decay rate of the squared gradient."""

    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """See base class."""
        import torch  # noqa: PLC0415  configs stay free of torch

        return torch.optim.RMSprop(parameters, **self.settings(0, 1), alpha=self.alpha)


class SGD(OptimizerConfig):
    """Stochastic gradient descent."""

    type: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last step that is kept."""

    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """See base class."""
        import torch  # noqa: PLC0415  configs stay free of torch

        return torch.optim.SGD(parameters, **self.settings(0, 1), momentum=self.momentum)


def _adam(parameters: Sequence[nn.Parameter], **settings: Any) -> Optimizer:
    import torch  # noqa: PLC0415  configs stay free of torch

    from ganframe.fused_adam import FusedAdam  # noqa: PLC0415  configs stay free of torch

    kinds = {(each.device.type, each.dtype) for each in parameters}
    fits = len(kinds) == 1 and all(device in ("cpu", "cuda") and kind.is_floating_point for device, kind in kinds)
    return FusedAdam(parameters, **settings) if fits else torch.optim.Adam(parameters, **settings)


class Jsonl(LoggerConfig):
    """Scalars as lines of JSON in `scalars.jsonl`, metrics in `metrics.jsonl`."""

    type: Literal["jsonl"] = "jsonl"
    every: int = Field(default=10, ge=1)
    """Write each k-th step."""

    def build(self) -> object:
        """See base class."""
        from ganframe.loggers import JsonlLogger  # noqa: PLC0415  a run's machinery is not needed to list types

        return JsonlLogger(self.every)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register what the core brings."""
    for cls in (Linear, Cosine, Piecewise, Adam, AdamW, RMSprop, SGD, Jsonl):
        register(cls)
