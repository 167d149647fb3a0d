"""Optimizers: Adam, AdamW, RMSprop, SGD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config.component_kinds import OptimizerConfig
from ganframe.config.schedules import Bounds, Scheduled, value_at

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game.protocols import Optimizer

DecayRate = Annotated[Scheduled, Bounds(ge=0, lt=1)]
"""The weight of the old value in the update of a running mean, in [0, 1); a number or a schedule."""


class Adam(OptimizerConfig):
    """Adam, by default with the betas of DCGAN. It uses PyTorch's fused kernel where there is one."""

    paper = "Kingma and Ba 2015, arXiv:1412.6980; betas after Radford et al. 2016, arXiv:1511.06434"
    type: Literal["adam"] = "adam"
    betas: tuple[DecayRate, DecayRate] = (0.5, 0.999)
    """Decay rates of the first and second moment, in [0, 1); numbers or schedules."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the square root of the second moment, by which the update is divided."""

    @override
    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        return _build_adam(parameters, **self.settings(0, 1), eps=self.eps)

    @override
    def settings(self, images: int, total: int) -> dict[str, Any]:
        beta1, beta2 = self.betas
        betas = value_at(beta1, images, total), value_at(beta2, images, total)
        return {"lr": value_at(self.lr, images, total), "betas": betas}


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    paper = "Loshchilov and Hutter 2019, arXiv:1711.05101"
    type: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay: each step multiplies the weights by 1 minus this number times the learning rate."""

    @override
    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        decay: dict[str, Any] = {"weight_decay": self.weight_decay, "decoupled_weight_decay": True}
        return _build_adam(parameters, **self.settings(0, 1), eps=self.eps, **decay)


class RMSprop(OptimizerConfig):
    """RMSprop, by default with the learning rate of WGAN with weight clipping."""

    paper = "Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1"
    type: Literal["rmsprop"] = "rmsprop"
    lr: Annotated[Scheduled, Bounds(ge=0)] = 5e-5
    """Learning rate; a number or a schedule."""
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Decay rate of the running mean of squared gradients; in [0, 1)."""

    @override
    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        import torch

        return torch.optim.RMSprop(parameters, **self.settings(0, 1), alpha=self.alpha)


class SGD(OptimizerConfig):
    """Stochastic gradient descent."""

    type: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum: the share of the last update that is added to the next one; in [0, 1)."""

    @override
    def build(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        import torch

        return torch.optim.SGD(parameters, **self.settings(0, 1), momentum=self.momentum)


def _build_adam(parameters: Sequence[nn.Parameter], **settings: Any) -> Optimizer:
    import torch

    from ganframe.builtin.fused_adam import FusedAdam

    kinds = {(parameter.device.type, parameter.dtype) for parameter in parameters}
    fusable = len(kinds) == 1 and all(device in ("cpu", "cuda") and dtype.is_floating_point for device, dtype in kinds)
    return FusedAdam(parameters, **settings) if fusable else torch.optim.Adam(parameters, **settings)
