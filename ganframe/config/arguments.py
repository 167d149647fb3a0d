"""Checks of the arguments of public functions, for messages that name the argument; and paths that users give."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, cast

from ganframe.errors import BadInput

MAX_SHOWN = 60
"""The largest number of characters of a wrong argument that a message shows."""


def check_type(name: str, value: object, expected: type | tuple[type, ...], what: str) -> None:
    """Refuse an argument of another type. True and False are no numbers.

    Args:
        name: The name of the argument.
        value: Its value.
        expected: The types that it may have.
        what: What it has to be, such as `a whole number`.

    Raises:
        BadInput: Names the argument.
    """
    wrong_bool = isinstance(value, bool) and expected is int
    if not isinstance(value, expected) or wrong_bool:
        raise BadInput(f"`{name}` is {what}, not {shown(value)}")


def check_whole_number(name: str, value: object) -> None:
    """Refuse an argument that is no whole number.

    Raises:
        BadInput: Names the argument.
    """
    check_type(name, value, int, "a whole number")


def check_names(name: str, value: object, what: str = "a list of names") -> None:
    """Refuse an argument that is no list, tuple or set of strings, such as a single string.

    Raises:
        BadInput: Names the argument.
    """
    is_list = isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes))
    if not is_list or not all(isinstance(each, str) for each in cast(Sequence[Any], value)):
        raise BadInput(f"`{name}` is {what}, not {shown(value)}")


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave: `~` is the home folder and `~NAME` that of a user, as in a shell.

    A path whose beginning `~NAME` is that of no user stays as it is.

    Args:
        path: The path.
    """
    # `Path.expanduser` raises an error where there is no such user, and takes `./~` for `~`.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def as_path(name: str, value: object) -> Path:
    """Return an argument as a path with `~` expanded, at which there may be anything or nothing.

    Raises:
        BadInput: When it is no path, or none that can be looked at; names the argument.
    """
    check_type(name, value, (str, Path), "a path")
    path = user_path(cast(str, value))
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise BadInput(f"`{name}` is no path that can be used: {reason}", place=shown(str(path))) from None
    return path


def shown(value: object) -> str:
    """Return an argument as a message shows it: its type instead, where it is long or cannot be shown."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = ""
    return text if 0 < len(text) <= MAX_SHOWN else f"of the type {type(value).__name__}"
