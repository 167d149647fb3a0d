"""A game that moves samples to the class that it is told: its output is the sample plus a hundred times the label.

Its label `target` is made by the game, as in StarGAN. Without one, every sample goes to the next class.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from slope_judge import JudgeConfig
from torch import Tensor, nn

from ganframe.config import DatasetConfig, DataSpec, GameConfig, GeneratorConfig, TensorSpec
from ganframe.data import TensorData
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, tensor

NAMES = ("cat", "dog", "10")
"""The name of class 2 is the number of no class."""


class Shift(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, source: Tensor, condition: Tensor) -> Tensor:
        return source * (1 + self.zero) + 100.0 * condition[:, None, None, None]


class ShiftConfig(GeneratorConfig):
    type: Literal["by-hand-shift"] = "by-hand-shift"
    starts_from = "sample"
    conditional = True

    def build(self, **_fit: Any) -> nn.Module:
        return Shift()


class Shifts(Game):
    inputs = ("real", "label")
    output = "fake"
    pictures = ("real", "fake")
    label = "target"
    sampling_inputs = ("real",)
    translations = (("real", "fake"), ("real", "same"))
    contests = (Contest("judge", real="real", fake="fake"),)
    turns = (Turn("judge", ("judge",)), Turn("shift", ("shift",)))

    def player_specs(self) -> dict[str, PlayerSpec]:
        sample = self.data["real"]
        return {
            "shift": PlayerSpec(ShiftConfig(), (), sample, source=sample, condition=self.data["label"]),
            "judge": PlayerSpec(JudgeConfig(), (), sample),
        }

    @tensor
    def target(self, game_round: Round) -> Tensor:
        return (game_round["label"] + 1) % len(NAMES)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        return self.players["shift"](game_round["real"], game_round["target"])

    @tensor
    def same(self, game_round: Round) -> Tensor:
        return game_round["real"]

    @tensor
    def encoded(self, game_round: Round) -> tuple[Tensor, Tensor]:
        return game_round["real"], game_round["target"]


class ShiftsConfig(GameConfig):
    type: Literal["by-hand-shift"] = "by-hand-shift"

    def build(self, data: DataSpec) -> Game:
        return Shifts(data)


class Levels(DatasetConfig):
    """Example i is a grey image of the level -0.9 + 0.1 i, 4 x 6, of the class i % 3."""

    type: Literal["by-hand-shift"] = "by-hand-shift"

    def spec(self) -> DataSpec:
        return {"real": TensorSpec((1, 4, 6)), "label": TensorSpec((), len(NAMES), NAMES)}

    def build(self) -> TensorData:
        levels = -0.9 + 0.1 * torch.arange(12.0)
        return TensorData({"real": levels[:, None, None, None].expand(-1, 1, 4, 6), "label": torch.arange(12) % 3})


COMPONENTS = (ShiftConfig, JudgeConfig, ShiftsConfig, Levels)
