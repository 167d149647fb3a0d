"""The best measurement of a run: which checkpoint has the best value of one result of its metrics."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ganframe.config.component_kinds import MetricConfig
from ganframe.config.experiment import Best, metric_names
from ganframe.errors import BadInput
from ganframe.runs.checkpoint_files import MAX_LISTINGS, checkpoint_path, load, read_latest_state

MAX_NAME = 1000
"""The largest number of characters of the name of a result."""


@dataclass(frozen=True)
class BestMeasurement:
    """The best value so far of one result of the metrics of a run, and the step at which it was measured.

    Attributes:
        result: The name of the result, as in the log of metrics.
        goal: Whether the lowest or the highest value is the best.
        patience: Number of measurements without a better value after which the run ends; None for any number.
        value: The best value, which is finite; None before the first finite one.
        step: The step at which it was measured; None before the first finite value.
        measurements_since: Number of measurements after it.
        metric: The sha256 of the settings of the metric; values under other settings are not compared.
    """

    result: Annotated[str, Field(max_length=MAX_NAME)]
    goal: Literal["lowest", "highest"]
    patience: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    step: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    measurements_since: Annotated[int, Field(ge=0, lt=2**63)] = 0
    metric: Annotated[str, Field(max_length=64)] = ""

    @classmethod
    def none_yet(cls, config: Best, metrics: Sequence[MetricConfig]) -> BestMeasurement:
        """Return the state of a run without measurements.

        Args:
            config: The result to look at.
            metrics: The metrics of the run.
        """
        name = config.result.partition("/")[0]
        settings = metrics[metric_names(metrics).index(name)].model_dump_json()
        return cls(config.result, config.goal, config.patience, metric=hashlib.sha256(settings.encode()).hexdigest())

    def anew(self) -> BestMeasurement:
        """Return the state without any measurement."""
        return replace(self, value=None, step=None, measurements_since=0)

    def after(self, value: float, step: int) -> BestMeasurement:
        """Return the state after one more measurement. A value that is not finite is never the best.

        Args:
            value: The measured value.
            step: The step at which it was measured.
        """
        if math.isfinite(value) and (self.value is None or self._is_better(value, self.value)):
            return replace(self, value=value, step=step, measurements_since=0)
        return replace(self, measurements_since=self.measurements_since + 1)

    def _is_better(self, value: float, than: float) -> bool:
        return value < than if self.goal == "lowest" else value > than

    @property
    def stops_run(self) -> bool:
        """Whether so many measurements had no better value that the run ends."""
        return self.patience is not None and self.measurements_since >= self.patience

    def resumed(self, saved: Any) -> BestMeasurement:
        """Return this state with the values of a saved one; without any if that is of another result, goal or metric.

        Args:
            saved: What `dump` returned; None when the checkpoint has none.

        Raises:
            ValueError: When a run would not save this.
        """
        before = None if saved is None else BEST_MEASUREMENT.validate_python(saved)
        if before is None or any(getattr(before, name) != getattr(self, name) for name in ("result", "goal", "metric")):
            return self.anew()
        return replace(before, patience=self.patience)

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return asdict(self)

    def describe(self) -> str:
        """Return the best value and its step as text."""
        if self.value is None or self.step is None:
            return f"no finite value of {self.result} was measured"
        return f"{self.result} {self.value:.4g}, measured after step {self.step:,}"

    def describe_stop(self) -> str:
        """Return why the run ended early, as text."""
        return f"{self.measurements_since} measurements had no better value; the best: {self.describe()}"


BEST_MEASUREMENT: TypeAdapter[BestMeasurement] = TypeAdapter(BestMeasurement)


def read_best(folder: Path) -> BestMeasurement | None:
    """Return the best measurement up to the latest checkpoint whose state can be read, without reading tensors.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The best measurement; None when there is no such checkpoint, or the run does not look for the best one.

    Raises:
        BadInput: When the state has something that a run would not save.
    """
    latest = read_latest_state(folder)
    saved = None if latest is None else latest[1].get("best")
    try:
        return None if saved is None else BEST_MEASUREMENT.validate_python(saved)
    except ValueError as problem:
        reason = str(problem).splitlines()[0]
        raise BadInput(f"this is not a best measurement that a run saved: {reason}", place=str(folder)) from None


def load_best(folder: Path) -> tuple[int, dict[str, Any]]:
    """Read the checkpoint of the best measurement, which a run that is training may replace meanwhile.

    Args:
        folder: The run's folder of checkpoints.

    Returns:
        The step, and the state by section.

    Raises:
        BadInput: When the run has no best checkpoint, or that checkpoint is missing or damaged.
    """
    best = read_best(folder)
    for _ in range(MAX_LISTINGS):
        if best is None or best.step is None:
            remedy = "A run has one from its first measurement on if its config says `evaluate.best`."
            raise BadInput("this run has no best checkpoint", place=str(folder), remedy=remedy)
        try:
            return load(checkpoint_path(folder, best.step))
        except BadInput:
            before, best = best, read_best(folder)
            if best == before:
                raise
    raise BadInput("the run replaces its best checkpoint faster than it can be read", place=str(folder))
