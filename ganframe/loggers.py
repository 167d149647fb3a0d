"""Loggers of the core: lines of JSON, and a progress bar."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from io import FileIO
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from ganframe.errors import writing
from ganframe.hookspecs import hookimpl
from ganframe.jsonio import parse_json
from ganframe.run import Run


class Unwritten:
    """The latest value of each scalar since a log was written to: a lazy term has one in a few steps only.

    Args:
        every: The log is written to at each k-th step.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.values: dict[str, float] = {}

    def take(self, step: int, scalars: Mapping[str, float]) -> dict[str, float] | None:
        """Take in a step's; all that are to be written where the log is due, else None."""
        self.values |= scalars
        if step % self.every:
            return None
        due, self.values = self.values, {}
        return due


def unwritten(state: Mapping[str, Any], key: str) -> dict[str, float]:
    """What a log had not written when a checkpoint was saved; nothing where it was not there."""
    return {name: float(value) for name, value in state.get(key, {}).items()}


class JsonlLogger:
    """Appends to `scalars.jsonl` and `metrics.jsonl`; after a resume, lines past the checkpoint are dropped.

    Args:
        every: Write at each k-th step.
    """

    def __init__(self, every: int) -> None:
        self._unwritten = Unwritten(every)
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
        self._unwritten.values = unwritten(state, "jsonl")
        self._drop(run)

    def _drop(self, run: Run) -> None:
        if self._scalars and self._metrics:
            self._scalars.keep_until(run.step)
            self._metrics.keep_until(run.step if run.looked else run.step - 1)

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


class Log:
    """A file of JSON lines in the order of steps, of which a reader may read every whole line at any time.

    Args:
        path: The file; made with its first line.

    Raises:
        RunFailed: When a line cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, values: Mapping[str, float]) -> None:
        """Write a line."""
        left = memoryview((json.dumps(values) + "\n").encode())
        with writing(self.path):
            if self._file is None:
                self._file = FileIO(self.path, "a")
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]

    def keep_until(self, step: int) -> None:
        """Cut off the lines of later steps, and one that was not written to its end."""
        if not self.path.is_file():
            return
        with writing(self.path), self.path.open("r+b") as file:
            kept = 0
            for line in file:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
                kept += len(line)
            file.truncate(kept)

    def sync(self) -> None:
        """See that the disk has every line."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _placed(line: dict[str, int | float]) -> dict[str, int | float]:
    if not line.keys() >= {"step", "images"}:
        raise ValueError("a line has a `step` and its `images`")
    return line


def _drawable(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


LARGEST = 1e100
"""What a larger number is read as: sums of the largest floats overflow, and matplotlib finds no ticks for them."""
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[float, AfterValidator(_drawable)]
LINE: TypeAdapter[dict[str, float]] = TypeAdapter(Annotated[dict[str, Number], AfterValidator(_placed)])


def read_log(path: Path, most: int | None = None) -> list[dict[str, float]]:
    """The lines of a log, also while it is written; none when there is no log.

    Args:
        path: The log.
        most: How many lines to give. Where there are more, a line stands for several: it has the means of their
            values, with step and images of the last.

    Raises:
        BadInput: When a line is not as a run writes it.
    """
    if not path.is_file():
        return []
    with path.open("rb") as file:
        count = sum(1 for _ in file)
        file.seek(0)
        numbered = enumerate(itertools.islice(file, count), start=1)
        whole = (parse_json(line, LINE, f"{path}:{number}") for number, line in numbered if line.endswith(b"\n"))
        if most is None or count <= most:
            return list(whole)
        size = -(-count // most)
        parts = itertools.groupby(enumerate(whole), key=lambda placed: placed[0] // size)
        return [_mean([line for _, line in part]) for _, part in parts]


def _mean(lines: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for line in lines for name in line)
    means = {name: fmean(line[name] for line in lines if name in line) for name in names}
    return means | {name: lines[-1][name] for name in ("step", "images")}


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
