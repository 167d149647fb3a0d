"""Measuring: rounds over data that was not trained on, where there is some, given to every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganframe.config.document import Document
from ganframe.config.experiment import Experiment
from ganframe.config.kinds import DatasetConfig, MetricConfig
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.distributed.collectives import gather
from ganframe.distributed.shard import this_shard
from ganframe.errors import BadInput, within
from ganframe.evaluation.loaded_run import load
from ganframe.evaluation.sampling import sampling_mode
from ganframe.game.game import Game
from ganframe.game.protocols import Metric
from ganframe.game.round import Round
from ganframe.randomness import Randomness
from ganframe.training.assembly import check_metrics

BATCH = 100
"""Examples in a round of an evaluation."""


class Evaluation:
    """The metrics of a run over its data.

    Args:
        metrics: What to measure.
        data: What the run trains on.
        seed: The seed of the draws.
        dataset: Where inputs of the game come from: held-out examples, where there are some.

    Raises:
        BadInput: When a metric refuses the data.
    """

    def __init__(self, metrics: tuple[MetricConfig, ...], data: DatasetConfig, seed: int, dataset: Dataset) -> None:
        self._metrics = metrics
        self._data = data
        self._dataset = dataset
        for index, metric in enumerate(metrics):
            with within("evaluate", "metrics", index):
                metric.build(data)
        self._randomness = Randomness(seed).at("evaluation")

    def measure(
        self, game: Game, device: torch.device, before_round: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """The results of every metric by `metric/name`.

        Args:
            game: The game, with the players to be measured.
            device: Where the players are.
            before_round: Called before each round; it may raise to leave off.
        """
        results: dict[str, float] = {}
        taken: dict[str, int] = {}
        for config in self._metrics:
            metric = config.build(self._data)
            self.fill(metric, config, game, device, before_round)
            name = config.type_name()
            taken[name] = taken.get(name, 0) + 1
            name = name if taken[name] == 1 else f"{name}-{taken[name]}"
            results |= {f"{name}/{key}": value for key, value in metric.compute().items()}
        return results

    def fill(
        self,
        metric: Metric,
        config: MetricConfig,
        game: Game,
        device: torch.device,
        before_round: Callable[[], None] = lambda: None,
    ) -> None:
        """Give a metric its examples. Several ranks take the rounds in turn, and each is given what all have made."""
        shard = this_shard()
        with sampling_mode(game, self._randomness, device):
            for first in range(0, config.samples, BATCH * shard.world_size):
                before_round()
                made = self._made(first // BATCH + shard.rank, config.tensors(), game, device)
                whole = {name: gather(each) for name, each in made.items()}
                for start in range(first, min(first + BATCH * shard.world_size, config.samples), BATCH):
                    rows = slice(start - first, min(start + BATCH, config.samples) - first)
                    metric.update({name: each[rows] for name, each in whole.items()})

    def _made(self, number: int, names: tuple[str, ...], game: Game, device: torch.device) -> Mapping[str, Tensor]:
        """What round `number` of a measurement makes."""
        draws = self._randomness.at(number)
        draws.seed_torch("sampling", device)
        batch = next(BatchLoader(self._dataset, BATCH, self._randomness, device).starting_at(number))
        game_round = Round(game, batch, size=BATCH, device=device, randomness=draws)
        return {name: game_round[name] for name in names}


def measure_run(run: Path, metrics: Sequence[str], seed: int, device: str) -> dict[str, float]:
    """Measure a trained run.

    Args:
        run: The run folder.
        metrics: Types of metrics with their defaults; those of the run's config when empty.
        seed: The seed of the draws.
        device: A torch device, or `auto`.

    Raises:
        BadInput: When there is no such run or metric, or the game lacks what a metric reads.
    """
    trained = load(run, device=device)
    experiment = trained.experiment
    if metrics:
        changed = experiment.dump() | {"evaluate": {"metrics": list(metrics)}}
        with Document(Path("--metric"), {}).errors():
            experiment = Experiment.model_validate(changed)
            check_metrics(experiment, trained.game)
    if experiment.evaluate is None:
        raise BadInput("this run's config has no metrics", place=str(run), remedy="Name one: --metric TYPE.")
    evaluation = Evaluation(experiment.evaluate.metrics, experiment.data, seed, trained.dataset)
    return evaluation.measure(trained.game, trained.device)
