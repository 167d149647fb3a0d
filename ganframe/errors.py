"""The two kinds of error that end a command, each with its exit code.

`BadInput` is an error that the user can fix; it names its place and a remedy. `RunFailed` is an event that ends a run,
such as a full disk or a loss that is not finite.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Generator
from contextlib import contextmanager

ConfigPath = tuple[str | int, ...]
"""A place in a config, as keys: `("regularizers", 0, "weight")`."""


class BadInput(Exception):
    """Input that cannot be used: a config, a data set, a checkpoint, a plugin, an argument.

    Args:
        message: What is wrong, in one sentence.
        place: The place of the error: a file, `file:line:column`, a folder, or a plugin. Empty for none.
        path: The place of the error in the config, as keys. Empty for none.
        remedy: How the user can fix it. Empty for none.
    """

    exit_code = 2

    def __init__(self, message: str, *, place: str = "", path: ConfigPath = (), remedy: str = "") -> None:
        self.message = message
        self.place = place
        self.path = path
        self.remedy = remedy
        super().__init__(message)

    def within(self, *prefix: str | int) -> BadInput:
        """Return the same error with `prefix` put before its path."""
        return BadInput(self.message, place=self.place, path=(*prefix, *self.path), remedy=self.remedy)

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.place, dotted(self.path)) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\n  {self.remedy}" if self.remedy else text


@contextmanager
def within(*prefix: str | int) -> Generator[None, None, None]:
    """Put `prefix` before the path of a `BadInput` that is raised inside the `with` block.

    Args:
        prefix: The place of a nested config, as keys: `"of"`, or `"label_policies", 0`.
    """
    try:
        yield
    except BadInput as problem:
        raise problem.within(*prefix) from problem.__cause__


class UnknownName(BadInput, KeyError):
    """A key that a mapping of named things lacks. It is also a `KeyError`, which mappings raise."""


class RunFailed(Exception):
    """A run that had to end; the files that it has saved are intact."""

    exit_code = 1


@contextmanager
def writing(path: os.PathLike[str]) -> Generator[None, None, None]:
    """Raise `RunFailed` with the name of a file that cannot be written, because the error of a full disk lacks it.

    Args:
        path: The file that the `with` block writes.

    Raises:
        RunFailed: When the file cannot be written.
    """
    try:
        yield
    except OSError as problem:
        raise RunFailed(f"{path}: cannot be written: {problem.strerror}") from problem


class NotFinite(RunFailed):
    """A run in which a number became infinite or NaN."""


class Interrupted(RunFailed):
    """A run ended by SIGINT (Ctrl-C)."""

    exit_code = 130


class Terminated(RunFailed):
    """A run ended by SIGTERM, which schedulers send before they take a machine back, or by SIGHUP."""

    exit_code = 143


def describe(problem: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    return (f"{type(problem).__name__}: {problem}".splitlines() or [""])[0]


def known_names(name: object, known: Collection[str]) -> str:
    """Return a remedy for a wrong name: the name that was probably meant, if any, and all known names."""
    close = difflib.get_close_matches(str(name), known, 1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}It has: {', '.join(known) or 'none'}."


def dotted(path: ConfigPath) -> str:
    """Return a config path as the option `--set` takes it: `regularizers.0.weight`."""
    return ".".join(str(part) for part in path)
