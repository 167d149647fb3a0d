"""The live logger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from torch.utils.tensorboard.summary import image, scalar

from ganframe import hookimpl
from ganframe.run import Run
from ganframe_tensorboard.events import EventFile

FOLDER = "tensorboard"
"""The folder of a run that holds the event files."""


class TensorBoardLogger:
    """Writes events, numbered by step.

    After a resume, readers forget the events that were written past the checkpoint.

    Args:
        every: Write the scalars of each k-th step.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._events: EventFile | None = None

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Begin an event file."""
        self._events = EventFile(run.folder.path / FOLDER, purge_step=run.step + 1)

    @hookimpl
    def on_checkpoint_load(self, run: Run) -> None:
        """Begin another event file where a run that is under way goes back."""
        if self._events is not None:
            self._events.close()
            self.on_run_start(run)

    @hookimpl
    def on_step_end(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write a step's scalars."""
        if step % self.every == 0:
            self._write(step, scalars)

    @hookimpl
    def on_evaluation(self, step: int, results: Mapping[str, float]) -> None:
        """Write the results of a measurement."""
        self._write(step, results)

    @hookimpl
    def on_snapshot(self, step: int, picture: Path) -> None:
        """Write the picture."""
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
            self._events.add(Summary(value=[each for summary in summaries for each in summary.value]), step)
