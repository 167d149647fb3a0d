"""The logger that writes JSON Lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganframe.config.hook_markers import hookimpl
from ganframe.runs.logs import Log, PendingScalars, pending_scalars

if TYPE_CHECKING:
    from ganframe.training.run_state import Run


class JsonlLogger:
    """A logger that appends lines to `scalars.jsonl` and `metrics.jsonl` in the run folder.

    When a run is resumed, lines after the step of its checkpoint are removed.

    Args:
        every: The number of training steps from one line of scalars to the next.
    """

    def __init__(self, every: int) -> None:
        self._pending = PendingScalars(every)
        self._scalars: Log | None = None
        self._metrics: Log | None = None
        self._start_time, self._start_images = 0.0, 0

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Open the logs."""
        self._scalars, self._metrics = Log(run.folder.scalars), Log(run.folder.metrics)
        self._start_time, self._start_images = time.monotonic(), run.images
        self._drop_later_lines(run)

    @hookimpl
    def on_checkpoint_load(self, run: Run, state: Mapping[str, Any]) -> None:
        """Restore the scalars that were not yet written, and remove lines after the step of the checkpoint."""
        self._pending.values = pending_scalars(state, "jsonl")
        self._drop_later_lines(run)

    def _drop_later_lines(self, run: Run) -> None:
        if self._scalars and self._metrics:
            self._scalars.keep_until(run.step)
            self._metrics.keep_until(run.step if run.evaluation_done else run.step - 1)

    @hookimpl
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        """Store the scalars of a step; if a line is due, write the latest value of each scalar."""
        due = self._pending.collect(step, scalars)
        if self._scalars and due is not None:
            speed = (run.images - self._start_images) / max(time.monotonic() - self._start_time, 1e-9)
            line = {"step": step, "images": run.images, "images per second": round(speed, 1)}
            self._scalars.append(line | {name: _round(value) for name, value in due.items()})

    @hookimpl
    def on_evaluation(self, run: Run, step: int, results: Mapping[str, float]) -> None:
        """Write the results of an evaluation."""
        if self._metrics:
            self._metrics.append({"step": step, "images": run.images, **results})

    @hookimpl
    def on_checkpoint_save(self, state: dict[str, Any]) -> None:
        """Save the scalars that are not yet written, and flush the written lines to the disk."""
        state["jsonl"] = self._pending.values
        for log in (self._scalars, self._metrics):
            if log:
                log.sync()

    @hookimpl
    def on_run_end(self) -> None:
        """Close the logs."""
        for log in (self._scalars, self._metrics):
            if log:
                log.close()


def _round(value: float) -> float:
    """Round to five significant digits."""
    return float(f"{value:.5g}")
