"""Notices to the user, each printed as one line on stderr."""

from __future__ import annotations

from rich.markup import escape

from ganframe.distributed.shard import is_main_process
from ganframe.distributed.terminal import Terminal, brief


def print_notice(title: str, text: str) -> None:
    """Print a notice of an event that does not end the run, on the main process only.

    Args:
        title: What happened, in a few words.
        text: The details.
    """
    console = Terminal(stderr=True, soft_wrap=True, quiet=not is_main_process())
    console.print(f"[yellow]{escape(title)}:[/] {escape(brief(text))}")
