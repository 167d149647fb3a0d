"""Standard output and standard error that may break: a pipe whose reader has ended, a dropped terminal, a full disk."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO, cast


class ForgivingStream:
    """A stream of text that is given up when it cannot be written, with one notice on another stream.

    Args:
        stream: The stream.
        name: The name of the stream in the notice.
        other: The stream of the notice; None for no notice.
    """

    def __init__(self, stream: TextIO, name: str, other: TextIO | None) -> None:
        self._stream, self._name, self._other = stream, name, other
        self._given_up = False

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, with escapes in place of what the encoding of the stream lacks; nothing once it is given up."""
        try:
            return len(text) if self._given_up else self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as problem:  # ValueError: the stream is closed
            self._give_up(problem)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            if not self._given_up:
                self._stream.flush()
        except (OSError, ValueError) as problem:
            self._give_up(problem)

    def _give_up(self, problem: Exception) -> None:
        self._given_up = True
        # What is buffered would fail again when Python ends, and make the exit code 120.
        with contextlib.suppress(OSError, ValueError):
            descriptor = self._stream.fileno()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
        if self._other is not None:
            reason = getattr(problem, "strerror", None) or str(problem)
            with contextlib.suppress(OSError, ValueError):
                self._other.write(f"{self._name} cannot be written ({reason}); the run goes on without it\n")
                self._other.flush()


@contextlib.contextmanager
def forgiving_streams() -> Generator[None, None, None]:
    """Let no failure to write to stdout or stderr raise an exception inside the `with` block.

    A stream that fails once is given up, with one notice on the other one. Blocks may be nested.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _forgiving(sys.stdout, "stdout", sys.stderr), _forgiving(sys.stderr, "stderr", sys.stdout)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, ForgivingStream):
                stream.flush()
        sys.stdout, sys.stderr = before


def _forgiving(stream: TextIO | None, name: str, other: TextIO | None) -> TextIO:
    """Return a stream that forgives; one that does, or None for a stream that was closed before, as it is."""
    if stream is None or isinstance(stream, ForgivingStream):
        return cast(TextIO, stream)
    return cast(TextIO, ForgivingStream(stream, name, other))


def prepare_streams() -> None:
    """Open the null device as stdin, stdout and stderr where they are closed, as after `>&-`, and print any text.

    The next file that is opened would else become one of them, and be written by whoever prints. What the encoding of
    stdout lacks, such as a file name that is no UTF-8, is printed as an escape.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
