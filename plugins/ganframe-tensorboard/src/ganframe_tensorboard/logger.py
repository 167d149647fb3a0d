"""The live logger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ganframe import hookimpl
from ganframe.run import Run

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
        self._writer: SummaryWriter | None = None

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Begin an event file."""
        self._writer = SummaryWriter(str(run.folder.path / FOLDER), purge_step=run.step + 1)

    @hookimpl
    def on_checkpoint_load(self, run: Run) -> None:
        """Begin another event file where a run that is under way goes back."""
        if self._writer is not None:
            self._writer.close()
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
        if self._writer is not None:
            pixels = np.asarray(Image.open(picture).convert("RGB"))
            self._writer.add_image("samples", pixels, step, dataformats="HWC")

    @hookimpl
    def on_run_end(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
