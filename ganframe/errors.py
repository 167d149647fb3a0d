"""The two ways in which a command ends badly, each with its exit code.

`BadInput` is what the user can mend: it names a place and a remedy. `RunFailed` is what happened to a run.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

ConfigPath = tuple[str | int, ...]


class BadInput(Exception):
    """Input that cannot be used: a config, a data set, a checkpoint, a plugin, an argument.

    Args:
        message: What is wrong, in one sentence.
        place: Where: a file, `file:line:column`, a folder, or a plugin.
        path: Where in the config, as keys: `("regularizers", 0, "weight")`.
        remedy: What to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, place: str = "", path: ConfigPath = (), remedy: str = "") -> None:
        self.message = message
        self.place = place
        self.path = path
        self.remedy = remedy
        super().__init__(message)

    def within(self, *prefix: str | int) -> BadInput:
        """The same problem, its path counted from further out."""
        return BadInput(self.message, place=self.place, path=(*prefix, *self.path), remedy=self.remedy)

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.place, dotted(self.path)) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\n  {self.remedy}" if self.remedy else text


@contextmanager
def within(*prefix: str | int) -> Generator[None, None, None]:
    """Count the paths of the problems inside from further out."""
    try:
        yield
    except BadInput as problem:
        raise problem.within(*prefix) from None


class RunFailed(Exception):
    """A run that could not go on; what it had saved is intact."""

    exit_code = 1


@contextmanager
def writing(path: os.PathLike[str]) -> Generator[None, None, None]:
    """End the run where the file system refuses a file, and say which one: an error of a full disk does not.

    Args:
        path: What is written inside.

    Raises:
        RunFailed: When the file system refuses.
    """
    try:
        yield
    except OSError as problem:
        raise RunFailed(f"{path}: cannot be written: {problem.strerror}") from problem


class NotFinite(RunFailed):
    """A run whose numbers became infinite or no numbers at all."""


class Interrupted(RunFailed):
    """A run that was ended by SIGINT (Ctrl-C)."""

    exit_code = 130


class Terminated(RunFailed):
    """A run that was ended by SIGTERM, which schedulers send before they take a machine back."""

    exit_code = 143


def describe(problem: BaseException) -> str:
    """Return the type and the first line of an exception."""
    return (f"{type(problem).__name__}: {problem}".splitlines() or [""])[0]


def dotted(path: ConfigPath) -> str:
    """A config path as `--set` takes it: `regularizers.0.weight`."""
    return ".".join(str(part) for part in path)
