"""Output to the terminal, in which control characters from files or plugins are shown as escapes."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

LONGEST_LINE, MOST_LINES = 1000, 30
"""Maximum number of characters in a line of a message, and of lines."""


def visible(text: str) -> str:
    r"""Replace unprintable characters by escapes: `\x1b` for ESC, `\u202e` for the right-to-left override.

    A terminal would take some of them for commands, such as to change its title or the clipboard. Line breaks are kept.

    Args:
        text: Any text, such as a name from a file.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def brief(text: str) -> str:
    """Shorten the lines of a message to `LONGEST_LINE` characters, and the message to `MOST_LINES` lines.

    Args:
        text: The message, which may contain names of any length from a file.
    """
    lines = text.split("\n")
    cut = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in lines[:MOST_LINES]]
    more = [f"... and {len(lines) - MOST_LINES:,} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*cut, *more])


class Terminal(Console):
    """A console of rich that shows every text through `visible`. All output of ganframe uses this class.

    Args:
        options: Options of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        # Without emoji, because rich would replace the `:100:` in `config.yaml:100:3` by one.
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Parse the markup of a text, after escaping unprintable characters."""
        return super().render_str(visible(text), **options)
