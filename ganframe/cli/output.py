"""Printing, and the choice of paths for new files, in all commands."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.markup import escape
from rich.table import Table

from ganframe.distributed.terminal import Terminal, visible
from ganframe.errors import BadInput

Batch = TypeVar("Batch", bound=Sized)

console = Terminal()
wide_console = Terminal(width=1000)
"""The console for tables whose output is piped. It does not break rows into lines, so that rows can be searched."""


def print_line(text: str) -> None:
    """Print text without markup and added line breaks, so that paths in it can be copied or piped."""
    console.print(escape(text), soft_wrap=True)


def new_path(path: Path, *suffixes: str, option: str = "--out") -> Path:
    """Return a path at which nothing exists yet, and create its folder.

    Args:
        path: The path.
        suffixes: The suffixes that the name may have; "" allows a name without a suffix. When left out, any suffix is
            allowed.
        option: The option that names the path, for messages.

    Raises:
        BadInput: When something exists at the path, its suffix is not allowed, or its folder cannot be created.
    """
    if suffixes and path.suffix not in suffixes:
        allowed = " or ".join(suffix or "nothing, for a folder" for suffix in suffixes)
        raise BadInput(f"the name must end in {allowed}", place=f"{option} {path}")
    if path.exists():
        raise BadInput("this exists already", place=str(path), remedy=f"Choose another {option}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(f"this folder cannot be created: {problem.strerror}", place=str(path.parent)) from None
    return path


def print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of plain text under a header."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 1))
    rows = [tuple(visible(cell).replace("\n", "\\n") for cell in row) for row in rows]
    for title, *cells in zip(header, *rows, strict=True):
        table.add_column(title, no_wrap=not any(" " in cell for cell in cells), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    (console if console.is_terminal else wide_console).print(table)


@contextmanager
def progress(what: str) -> Generator[Callable[[int, int], None]]:
    """Yield a function that shows how many of all things are done, on stderr if that is a terminal.

    Args:
        what: What is counted, in the plural.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # slow to import

    shown = Terminal(stderr=True)
    columns = (
        TextColumn("{task.completed:,} of {task.total:,} {task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, disable=not shown.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=0)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def track(batches: Iterable[Batch], count: int, what: str) -> Iterator[Batch]:
    """Yield batches, and show how many of `count` examples are done.

    Args:
        batches: Batches, each with a length.
        count: Number of examples in all batches.
        what: What is counted, in the plural.
    """
    with progress(what) as show:
        done = 0
        for batch in batches:
            yield batch
            done += len(batch)
            show(done, count)
