"""Loggers of the core: lines of JSON, and a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from ganframe.hookspecs import hookimpl
from ganframe.run import Run


class JsonlLogger:
    """Appends to `scalars.jsonl` and `metrics.jsonl`; after a resume, lines past the checkpoint are dropped.

    Args:
        every: Write the scalars of each k-th step.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._scalars: IO[str] | None = None
        self._begun = (0.0, 0)

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Open the logs."""
        for path in (run.folder.scalars, run.folder.metrics):
            keep_until(path, run.step)
        self._scalars = run.folder.scalars.open("a", encoding="utf-8", buffering=1)
        self._begun = (time.monotonic(), run.images)

    @hookimpl
    def on_checkpoint_load(self, run: Run) -> None:
        """Drop what was written past the checkpoint."""
        for path in (run.folder.scalars, run.folder.metrics):
            keep_until(path, run.step)

    @hookimpl
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        """Write a step's scalars."""
        if self._scalars and step % self.every == 0:
            began, images = self._begun
            speed = (run.images - images) / max(time.monotonic() - began, 1e-9)
            line = {"step": step, "images": run.images, "images per second": round(speed, 1)}
            self._scalars.write(_line(line | {name: _short(each) for name, each in scalars.items()}))

    @hookimpl
    def on_evaluation(self, run: Run, step: int, results: Mapping[str, float]) -> None:
        """Write the results of a measurement."""
        with run.folder.metrics.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, "images": run.images, **results}))

    @hookimpl
    def on_run_end(self) -> None:
        """Close the log."""
        if self._scalars:
            self._scalars.close()


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a log; none when there is no log."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def keep_until(path: Path, step: int) -> None:
    """Drop the lines of a log that were written after a step."""
    kept = [line for line in read_log(path) if line["step"] <= step]
    if path.is_file():
        path.write_text("".join(map(_line, kept)), encoding="utf-8")


def _line(values: Mapping[str, float]) -> str:
    return json.dumps(values) + "\n"


def _short(value: float) -> float:
    return float(f"{value:.5g}")


class ProgressBar:
    """A bar with images a second, the time left and losses; off a terminal, a line now and then.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        fixed = Column(no_wrap=True)
        self._progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(table_column=fixed),
            TextColumn("{task.fields[speed]}", table_column=fixed),
            TimeRemainingColumn(table_column=fixed),
            TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self._pause = 0.25 if console.is_terminal else 10.0
        self._last = 0.0

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Show the bar."""
        self._last = self._began = time.monotonic()
        self._images = run.images
        total = run.experiment.train.images
        self._task = self._progress.add_task("", total=total, completed=run.images, speed="", losses="")
        if self._console.is_terminal:
            self._progress.start()

    @hookimpl
    def on_step_end(self, run: Run, scalars: Mapping[str, float]) -> None:
        """Move the bar, a few times a second."""
        now, total = time.monotonic(), run.experiment.train.images
        if now - self._last < self._pause and run.images < total:
            return
        self._last = now
        speed = f"{(run.images - self._images) / max(now - self._began, 1e-9):,.0f} images/s"
        losses = _by_turn(scalars, {term.name for term in run.assembly.objective.terms})
        if self._console.is_terminal:
            done = min(run.images, total)
            self._progress.update(self._task, completed=done, speed=speed, losses=losses, refresh=True)
        else:
            self._console.print(f"{run.images:,} of {total:,} images  {speed}  {losses}", soft_wrap=True)

    @hookimpl
    def on_evaluation(self, results: Mapping[str, float]) -> None:
        """Print the results of a measurement."""
        for name, value in results.items():
            self._console.print(f"{name}: {value:.4g}")

    @hookimpl
    def on_run_end(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


def _by_turn(scalars: Mapping[str, float], terms: Collection[str]) -> str:
    """The terms of each turn in a few characters: `discriminator 0.66 0.02  generator 1.63`."""
    turns: dict[str, list[str]] = {}
    for name, value in scalars.items():
        turn, _, term = name.partition("/")
        if term in terms:
            turns.setdefault(turn, []).append(f"{value:.3g}")
    return "  ".join(f"{turn} {' '.join(values)}" for turn, values in turns.items())
