"""The progress bar of `ganframe train`."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from ganframe.config.hook_markers import hookimpl
from ganframe.distributed.terminal import visible
from ganframe.training.run_state import Run


class ProgressBar:
    """A progress bar with images per second, the time left and losses; without a terminal, a line every ten seconds.

    Args:
        console: The console on which the bar is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        fixed = Column(no_wrap=True)
        self._progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(table_column=fixed),
            TextColumn("{task.fields[speed]}", table_column=fixed),
            TimeRemainingColumn(table_column=fixed),
            TextColumn(
                "{task.fields[losses]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self._interval = 0.25 if console.is_terminal else 10.0
        self._last_update = 0.0

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Say what there is in the data, and show the bar."""
        summary = run.folder.data_summary()
        for title, text in [] if summary is None else summary.lines(run.assembly.game.data):
            self._console.print(escape(f"{title}: {text}"), soft_wrap=True)
        self._last_update = self._start = time.monotonic()
        self._start_images = run.images
        total = run.experiment.train.total_images
        self._task = self._progress.add_task("", total=total, completed=run.images, speed="", losses="")
        if self._console.is_terminal:
            self._progress.start()

    @hookimpl
    def on_step_end(self, run: Run, scalars: Mapping[str, float]) -> None:
        """Update the bar, at most four times a second; without a terminal, print a line at most every ten seconds."""
        now, total = time.monotonic(), run.experiment.train.total_images
        if now - self._last_update < self._interval and run.images < total:
            return
        self._last_update = now
        speed = f"{(run.images - self._start_images) / max(now - self._start, 1e-9):,.0f} images/s"
        losses = _losses_by_turn(scalars, {term.name for term in run.assembly.objective.terms})
        if self._console.is_terminal:
            done = min(run.images, total)
            self._progress.update(self._task, completed=done, speed=speed, losses=losses, refresh=True)
        else:
            self._console.print(f"{run.images:,} of {total:,} images  {speed}  {escape(losses)}", soft_wrap=True)

    @hookimpl
    def on_evaluation_start(self) -> None:
        """Say that the metrics are being measured."""
        if self._console.is_terminal:
            self._progress.update(self._task, speed="measuring", losses="", refresh=True)
        else:
            self._console.print("measuring")

    @hookimpl
    def on_evaluation(self, results: Mapping[str, float]) -> None:
        """Print the results of an evaluation."""
        for name, value in results.items():
            self._console.print(escape(f"{name}: {value:.4g}"))

    @hookimpl
    def on_run_end(self) -> None:
        """Stop updating the bar, which stays on the terminal as it is."""
        self._progress.stop()


def _losses_by_turn(scalars: Mapping[str, float], terms: Collection[str]) -> str:
    """Return the values of the terms of each turn as one line: `discriminator 0.66 0.02  generator 1.63`."""
    turns: dict[str, list[str]] = {}
    for name, value in scalars.items():
        turn, _, term = name.partition("/")
        if term in terms:
            turns.setdefault(turn, []).append(f"{value:.3g}")
    return visible("  ".join(f"{turn} {' '.join(values)}" for turn, values in turns.items()))
