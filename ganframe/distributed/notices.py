"""What a user is told beside the results: one line on the error stream."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from ganframe.distributed.shard import is_main_process


def print_notice(what: str, text: str) -> None:
    """Say, once for all processes of a run, that something happened which it goes on from.

    Args:
        what: What happened, in a few words.
        text: What exactly.
    """
    console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, quiet=not is_main_process())
    console.print(f"[yellow]{escape(what)}:[/] {escape(text)}")
