"""The TensorBoard logger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from torch.utils.tensorboard.summary import image, scalar

from ganframe import PendingScalars, Run, hookimpl, pending_scalars
from ganframe_tensorboard.events import EventFile

FOLDER = "tensorboard"
"""Name of the folder with a run's event files."""


class TensorBoardLogger:
    """Writes events, numbered by step.

    After a resume, readers ignore the events that were written after the checkpoint.

    Args:
        every: Number of steps from one record of scalars to the next.
    """

    def __init__(self, every: int) -> None:
        self._unwritten = PendingScalars(every)
        self._events: EventFile | None = None

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Start an event file."""
        self._events = EventFile(run.folder.path / FOLDER, purge_step=run.step + 1)

    @hookimpl
    def on_checkpoint_load(self, run: Run, state: Mapping[str, Any]) -> None:
        """Start another event file when a run in progress goes back to a checkpoint."""
        self._unwritten.values = pending_scalars(state, "tensorboard")
        if self._events is not None:
            self._events.close()
            self.on_run_start(run)

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of the step, if they are due."""
        due = self._unwritten.collect(step, scalars)
        if due is not None:
            self._write(step, due)

    @hookimpl
    def on_checkpoint_save(self, state: dict[str, Any]) -> None:
        """Save the scalars that are not written yet."""
        state["tensorboard"] = self._unwritten.values

    @hookimpl
    def on_evaluation(self, step: int, results: Mapping[str, float]) -> None:
        """Write the results of an evaluation."""
        self._write(step, results)

    @hookimpl
    def on_snapshot(self, step: int, picture: Path) -> None:
        """Write the picture of a snapshot."""
        if self._events is not None:
            pixels = np.asarray(Image.open(picture).convert("RGB"))
            self._events.add(image("samples", pixels, dataformats="HWC"), step)

    @hookimpl
    def on_run_end(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            summaries = (scalar(name, value) for name, value in values.items())
            self._events.add(Summary(value=[value for summary in summaries for value in summary.value]), step)
