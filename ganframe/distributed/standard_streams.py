"""Standard output and standard error that survive a closed pipe, a dropped terminal or a full disk."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO, cast


class ForgivingStream:
    """A text stream that discards all text after the first failed write, with one notice on another stream.

    Args:
        stream: The stream.
        name: The name of the stream in the notice.
        other: The stream for the notice; None for no notice.
    """

    def __init__(self, stream: TextIO, name: str, other: TextIO | None) -> None:
        self._stream, self._name, self._other = stream, name, other
        self._given_up = False

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped stream."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, with escapes for characters that the stream's encoding lacks; after a failure, do nothing."""
        try:
            return len(text) if self._given_up else self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as problem:  # ValueError: the stream is closed
            self._give_up(problem)
            return len(text)

    def flush(self) -> None:
        """Flush the buffer; after a failure, do nothing."""
        try:
            if not self._given_up:
                self._stream.flush()
        except (OSError, ValueError) as problem:
            self._give_up(problem)

    def _give_up(self, problem: Exception) -> None:
        self._given_up = True
        # Otherwise Python would flush the buffer again when it exits, fail again, and exit with code 120.
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
    """Ignore failed writes to stdout and stderr inside the `with` block.

    After its first failure a stream discards all text, with one notice on the other stream. Blocks may be nested.
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
    """Wrap a stream in `ForgivingStream`, unless it is one already or is None, as Python sets a closed stream."""
    if stream is None or isinstance(stream, ForgivingStream):
        return cast(TextIO, stream)
    return cast(TextIO, ForgivingStream(stream, name, other))


def prepare_streams() -> None:
    """Open the null device for stdin, stdout and stderr if they are closed, and let stdout escape unprintable text.

    If they stayed closed, as after `>&-`, the next opened file would get the descriptor of one of them, and printing
    would write to that file. Characters that the encoding of stdout lacks, such as in a file name that is not valid
    UTF-8, are printed as escapes.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
