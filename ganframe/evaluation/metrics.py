"""Measurement of a game: every metric over rounds of held-out data, or of the training data if none is held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ganframe.config.arguments import check_names, check_whole_number
from ganframe.config.component_kinds import DatasetConfig, MetricConfig
from ganframe.config.error_positions import Document
from ganframe.config.experiment import Experiment, metric_names
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
from ganframe.plugins.author_code import build_live, name_of, source_of
from ganframe.randomness import Randomness
from ganframe.training.assembly import check_metrics

MAX_ROUND_SIZE = 100
"""The largest number of examples in one round of an evaluation."""


@dataclass(frozen=True)
class Measurement:
    """Results of the metrics of a run.

    Attributes:
        results: Each result by its name, `TYPE/RESULT`, as in `label-agreement/agreement`.
        protocols: What else decided the results of a metric, by the metric's name: its encoder, number of examples, ...
        pictures: The tensors of images that a metric wants drawn beside one another, by the metric's name.
    """

    results: dict[str, float] = field(default_factory=dict[str, float])
    protocols: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    pictures: dict[str, Mapping[str, Tensor]] = field(default_factory=dict[str, Mapping[str, Tensor]])


class Evaluation:
    """The metrics of a run, with the data for them.

    Args:
        metrics: The configs of the metrics.
        data: The config of the training data; each metric is built for it.
        seed: The seed of all random draws.
        dataset: The data set that gives the inputs of the game: held-out data, or else the training data.
        batch_size: Number of examples in one forward pass of the training; a round has no more, and at most 100.

    Raises:
        BadInput: When a metric cannot be built for the data.
    """

    def __init__(
        self,
        metrics: tuple[MetricConfig, ...],
        data: DatasetConfig,
        seed: int,
        dataset: Dataset,
        batch_size: int = MAX_ROUND_SIZE,
    ) -> None:
        self._metrics = metrics
        self._data = data
        self._dataset = dataset
        self._round_size = min(batch_size, MAX_ROUND_SIZE)
        for index, metric in enumerate(metrics):
            with within("evaluate", "metrics", index):
                self._build(metric)
        self._randomness = Randomness(seed).at("evaluation")

    def _build(self, config: MetricConfig) -> Metric:
        return build_live(config, self._data, methods={"update": 1, "compute": 0})

    def measure(self, game: Game, device: torch.device, before_round: Callable[[], None] = lambda: None) -> Measurement:
        """Measure every metric. The second metric of one type is named `TYPE-2`.

        Args:
            game: The game with the players to measure.
            device: The device that the players are on.
            before_round: Called before each round; an exception from it ends the measurement.
        """
        measurement = Measurement()
        for name, config in zip(metric_names(self._metrics), self._metrics, strict=True):
            try:
                metric = self._build(config)
                self._update_metric(metric, config, game, device, before_round)
                measurement.results.update({f"{name}/{key}": value for key, value in _numbers(metric).items()})
                measurement.protocols[name] = {"samples": f"{config.samples:,}"} | _optional(metric, "protocol")
                pictures = _optional(metric, "pictures")
                if pictures:
                    measurement.pictures[name] = pictures
            except Exception as problem:
                problem.add_note(f"in the metric {name!r}")
                raise
        return measurement

    def _update_metric(
        self,
        metric: Metric,
        config: MetricConfig,
        game: Game,
        device: torch.device,
        before_round: Callable[[], None],
    ) -> None:
        """Update a metric with as many examples as its config asks for.

        The ranks share out the rounds, and every rank updates its metric with the tensors of all ranks.

        Raises:
            BadInput: When a number that the metric reads is not finite.
        """
        shard, size = this_shard(), self._round_size
        loader = BatchLoader(self._dataset, self._round_size, self._randomness, device)
        with sampling_mode(game, self._randomness, device):
            for first in range(0, config.samples, size * shard.world_size):
                before_round()
                own = self._play_round(loader, first // size + shard.rank, metric, config, game)
                gathered = {name: gather(tensor) for name, tensor in own.items()}
                for start in range(first, min(first + size * shard.world_size, config.samples), size):
                    rows = slice(start - first, min(start + size, config.samples) - first)
                    batch = {name: tensor[rows] for name, tensor in gathered.items()}
                    _check_finite(batch)
                    metric.update(batch)

    def _play_round(
        self, loader: BatchLoader, number: int, metric: Metric, config: MetricConfig, game: Game
    ) -> Mapping[str, Tensor]:
        """Return the tensors that a metric reads of round `number` of a measurement."""
        randomness = self._randomness.at(number)
        randomness.seed_torch("sampling", loader.device)
        batch = next(loader.starting_at(number))
        game_round = Round(game, batch, size=self._round_size, device=loader.device, randomness=randomness)
        read = getattr(metric, "read", None)
        return {name: game_round[name] for name in config.tensors()} if read is None else read(game_round)


def _check_finite(batch: Mapping[str, Tensor]) -> None:
    """Check what a metric reads: many would take a number that is not finite for black, or for the first class."""
    for name, tensor in batch.items():
        if not bool(tensor.isfinite().all()):
            message = f"{name!r}, which the metric reads, has numbers that are not finite"
            raise BadInput(message, remedy="Look at the players: has the training diverged?")


def _optional(metric: Metric, method: str) -> dict[str, Any]:
    """Return what a method gives that a metric may have; nothing if it lacks the method."""
    found = getattr(metric, method, None)
    return {} if found is None else dict(found())


def _numbers(metric: Metric) -> Mapping[str, float]:
    """Return what a metric measured.

    Raises:
        BadInput: When the metric did not return a mapping of numbers.
    """
    results: Any = metric.compute()
    if isinstance(results, Mapping):
        found = cast(Mapping[str, Any], results)
        wrong = [name for name, value in found.items() if not isinstance(value, (int, float))]
        if not wrong:
            return found
        what = f"{type(found[wrong[0]]).__name__} for {wrong[0]!r}"
    else:
        what = type(results).__name__
    remedy = 'Return a mapping of floats by name, such as `{"distance": 1.5}`.'
    raise BadInput(f"{name_of(type(metric))}.compute returned {what}", place=source_of(metric), remedy=remedy)


def measure_run(run: Path, metrics: Sequence[str], seed: int, device: str, checkpoint: str = "latest") -> Measurement:
    """Measure a trained run.

    Args:
        run: The run folder.
        metrics: Types of metrics, with their default settings; when empty, the metrics of the run's config.
        seed: The seed of all random draws.
        device: A torch device, or `auto` for a GPU if there is one.
        checkpoint: `latest`, or `best` for the one that `evaluate.best` keeps.

    Raises:
        BadInput: When there is no such run, checkpoint or metric, the game lacks a tensor that a metric reads, or a
            weight of the run is not finite.
    """
    check_names("metrics", metrics)
    check_whole_number("seed", seed)
    loaded = load(run, device=device, checkpoint=checkpoint)
    loaded.check_finite()
    experiment = loaded.experiment
    if metrics:
        changed = experiment.dump() | {"evaluate": {"metrics": list(metrics)}}
        with Document(Path("--metric"), {}).errors():
            experiment = Experiment.model_validate(changed)
            check_metrics(experiment, loaded.game)
    if experiment.evaluate is None:
        raise BadInput("this run's config has no metrics", place=str(run), remedy="Name one: --metric TYPE.")
    batch_size = experiment.train.batch_size
    evaluation = Evaluation(experiment.evaluate.metrics, experiment.data, seed, loaded.dataset, batch_size)
    return evaluation.measure(loaded.game, loaded.device)
