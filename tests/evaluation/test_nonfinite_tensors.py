"""Numbers that are not finite do not become a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from ganframe.config import BadInput, DatasetConfig, MetricConfig
from ganframe.evaluation.metrics import Evaluation
from ganframe.game import Round
from ganframe.testing.fakes import CPU, FakeData, FakeGame, with_built_players

ROWS = 12


class Count(MetricConfig):
    """Counts examples, whatever they hold."""

    type: Literal["count"] = "count"
    samples: int = 10
    row: int = 0
    """The row of each round that is spoilt."""
    value: str = "0"
    """What it holds."""
    whole: bool = False
    """Whether the tensor holds whole numbers, which are always finite."""

    def tensors(self) -> tuple[str, ...]:
        return ("real",)

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"count": (0.0, 1e9)}

    def build(self, data: DatasetConfig) -> Any:
        return Counter(self)


class Counter:
    def __init__(self, config: Count) -> None:
        self.config, self.count = config, 0

    def read(self, game_round: Round) -> dict[str, Tensor]:
        if self.config.whole:
            return {"spoilt": torch.zeros(game_round.size, 2, dtype=torch.uint8)}
        numbers = torch.zeros(game_round.size, 2)
        numbers[self.config.row, 1] = float(self.config.value)
        return {"spoilt": numbers}

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        self.count += len(tensors["spoilt"])

    def merge(self, other: Any) -> None:
        self.count += other.count

    def compute(self) -> dict[str, float]:
        return {"count": float(self.count)}


def counted(**settings: Any) -> float:
    metrics = (Count(**settings),)
    game = with_built_players(FakeGame())
    return Evaluation(metrics, FakeData(), 0, FakeData().build(), ROWS).measure(game, CPU).results["count/count"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite_are_refused_with_the_tensor_and_the_metric(value: str):
    with pytest.raises(BadInput, match="'spoilt', which the metric reads, has numbers that are not finite") as problem:
        counted(row=3, value=value)
    assert problem.value.__notes__ == ["in the metric 'count'"]


def test_rows_that_are_not_measured_do_not_matter():
    assert counted(row=11, value="nan") == 10


def test_whole_numbers_are_measured():
    assert counted(whole=True) == 10
