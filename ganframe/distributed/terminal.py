"""The terminal, and text for it: what came from a file or a plugin is shown, and does not steer the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

LONGEST_LINE, MOST_LINES = 1000, 30
"""The most characters in a line of a message, and the most lines."""


def visible(text: str) -> str:
    r"""Return a text in which escapes stand for characters that would not be seen: `\x1b` for ESC, `\u202e` for RLO.

    A terminal takes some of them for commands, such as to change its title or the clipboard, or to show a text in
    another order. Line breaks stay.

    Args:
        text: Any text, such as a name from a file.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def brief(text: str) -> str:
    """Return a message of which long lines, and lines after the first ones, are cut; names from a file have any length.

    Args:
        text: The message.
    """
    lines = text.split("\n")
    cut = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in lines[:MOST_LINES]]
    more = [f"... and {len(lines) - MOST_LINES:,} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*cut, *more])


class Terminal(Console):
    """A console of rich that prints every text through `visible`. All printing goes through one.

    Args:
        options: Those of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        # Without emoji, because rich takes the `:100:` in `config.yaml:100:3` for one.
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text with markup, ready for printing."""
        return super().render_str(visible(text), **options)
