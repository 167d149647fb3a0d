"""A discriminator by hand: its logit is the mean of a sample times one number, which begins at 1."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganframe.config import DiscriminatorConfig
from ganframe.game import DiscriminatorOutput


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(sample.flatten(1).mean(1) * self.slope)


class JudgeConfig(DiscriminatorConfig):
    type: Literal["by-hand"] = "by-hand"
    conditional = True

    def build(self, **_fit: Any) -> nn.Module:
        return Judge()
