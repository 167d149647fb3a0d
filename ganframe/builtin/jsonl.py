"""The log of a run as lines of JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganframe.config.markers import hookimpl
from ganframe.runs.logs import (
    Log,
    PendingScalars,
    pending_scalars,
)

if TYPE_CHECKING:
    from ganframe.training.run import Run


class JsonlLogger:
    """Appends to `scalars.jsonl` and `metrics.jsonl`; after a resume, lines past the checkpoint are dropped.

    Args:
        every: Write at each k-th step.
    """

    def __init__(self, every: int) -> None:
        self._unwritten = PendingScalars(every)
        self._scalars: Log | None = None
        self._metrics: Log | None = None
        self._begun = (0.0, 0)

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Open the logs."""
        self._scalars, self._metrics = Log(run.folder.scalars), Log(run.folder.metrics)
        self._begun = (time.monotonic(), run.images)
        self._drop(run)

    @hookimpl
    def on_checkpoint_load(self, run: Run, state: Mapping[str, Any]) -> None:
        """Drop what was written past the checkpoint."""
        self._unwritten.values = pending_scalars(state, "jsonl")
        self._drop(run)

    def _drop(self, run: Run) -> None:
        if self._scalars and self._metrics:
            self._scalars.keep_until(run.step)
            self._metrics.keep_until(run.step if run.evaluation_done else run.step - 1)

    @hookimpl
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        """Write the latest scalars."""
        due = self._unwritten.take(step, scalars)
        if self._scalars and due is not None:
            began, images = self._begun
            speed = (run.images - images) / max(time.monotonic() - began, 1e-9)
            line = {"step": step, "images": run.images, "images per second": round(speed, 1)}
            self._scalars.append(line | {name: _short(each) for name, each in due.items()})

    @hookimpl
    def on_evaluation(self, run: Run, step: int, results: Mapping[str, float]) -> None:
        """Write the results of a measurement."""
        if self._metrics:
            self._metrics.append({"step": step, "images": run.images, **results})

    @hookimpl
    def on_checkpoint_save(self, state: dict[str, Any]) -> None:
        """See that the disk has the lines of every step that the checkpoint is past."""
        state["jsonl"] = self._unwritten.values
        for log in (self._scalars, self._metrics):
            if log:
                log.sync()

    @hookimpl
    def on_run_end(self) -> None:
        """Close the logs."""
        for log in (self._scalars, self._metrics):
            if log:
                log.close()


def _short(value: float) -> float:
    return float(f"{value:.5g}")
