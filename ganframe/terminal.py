"""The terminal, and text for it: what came from a file or a plugin is shown, and does not steer the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text


def visible(text: str) -> str:
    """Return a text in which escapes stand for characters that would not be seen: `\\x1b` for ESC, `\\u202e` for RLO.

    A terminal takes some of them for commands, such as to change its title or the clipboard, or to show a text in
    another order. Line breaks stay.

    Args:
        text: Any text, such as a name from a file.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


class Terminal(Console):
    """A console of rich that prints every text through `visible`. All printing goes through one.

    Args:
        options: Those of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        # Without emoji, because rich takes the `:100:` in `config.yaml:100:3` for one.
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a text with markup, ready for printing."""
        return super().render_str(visible(text), **options)
