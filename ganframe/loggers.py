"""Loggers of the core: lines of JSON, and a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
    def on_step_end(self, run: Run, step: int, scalars: Mapping[str, float]) -> None:
        """Write a step's scalars."""
        if self._scalars and step % self.every == 0:
            began, images = self._begun
            speed = (run.images - images) / max(time.monotonic() - began, 1e-9)
            line = {"step": step, "images": run.images, "images per second": round(speed, 1)}
            print(json.dumps(line | {name: _short(each) for name, each in scalars.items()}), file=self._scalars)

    @hookimpl
    def on_evaluation(self, run: Run, step: int, results: Mapping[str, float]) -> None:
        """Write the results of a measurement."""
        with run.folder.metrics.open("a", encoding="utf-8") as file:
            print(json.dumps({"step": step, "images": run.images, **results}), file=file)

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
        path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")


def _short(value: float) -> float:
    return float(f"{value:.5g}")


class ProgressBar:
    """A bar with losses, images a second and the time left.

    Args:
        console: Where to draw.
    """

    REFRESH = 0.25
    """Seconds between two changes of the numbers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("images  {task.fields[speed]}  {task.fields[losses]} "),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
        )
        self._last = 0.0

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Show the bar."""
        self._began, self._images = time.monotonic(), run.images
        total = run.experiment.train.images
        self._task = self._progress.add_task("training", total=total, completed=run.images, speed="", losses="")
        self._progress.start()

    @hookimpl
    def on_step_end(self, run: Run, scalars: Mapping[str, float]) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        total = run.experiment.train.images
        if now - self._last < self.REFRESH and run.images < total:
            return
        self._last = now
        terms = {term.name for term in run.assembly.objective.terms}
        losses = {name: value for name, value in scalars.items() if name.split("/")[1] in terms}
        self._progress.update(
            self._task,
            completed=min(run.images, total),
            speed=f"{(run.images - self._images) / max(now - self._began, 1e-9):,.0f} images/s",
            losses="  ".join(f"{name} {value:.3f}" for name, value in list(losses.items())[:4]),
            refresh=True,
        )

    @hookimpl
    def on_evaluation(self, results: Mapping[str, float]) -> None:
        """Print the results of a measurement."""
        for name, value in results.items():
            self._progress.console.print(f"{name}: {value:.4g}")

    @hookimpl
    def on_run_end(self) -> None:
        """Take the bar away."""
        self._progress.stop()
