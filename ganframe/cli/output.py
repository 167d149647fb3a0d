"""What commands print, and the files that they may write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganframe.errors import BadInput

# Without emoji, because rich takes the `:100:` in `config.yaml:100:3` for one.
console = Console(highlight=False, emoji=False)


pipe = Console(highlight=False, emoji=False, width=1000)
"""Where tables go that no terminal shows: what is piped is searched, so its rows stay whole."""


def print_line(text: str) -> None:
    """Print plain text as it is: paths stay whole, so that they can be copied or piped."""
    console.print(escape(text), soft_wrap=True)


def new_path(path: Path, *endings: str) -> Path:
    """A path where nothing is yet, in a folder that there is; with one of the endings, where some are given."""
    if endings and path.suffix not in endings:
        wanted = " or ".join(ending or "nothing, for a folder" for ending in endings)
        raise BadInput(f"the name has to end in {wanted}", place=f"--out {path}")
    if path.exists():
        raise BadInput("this exists already", place=str(path), remedy="Choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(f"this folder cannot be made: {problem.strerror}", place=str(path.parent)) from None
    return path


def print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 1))
    rows = list(rows)
    for title, *cells in zip(header, *rows, strict=True):
        table.add_column(title, no_wrap=not any(" " in cell for cell in cells), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    (console if console.is_terminal else pipe).print(table)
