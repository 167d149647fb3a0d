"""Checks of the arguments of public functions, with errors that name the argument; and paths that users give."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, cast

from ganframe.errors import BadInput

MAX_SHOWN = 60
"""Maximum number of characters of a wrong argument that a message shows."""


def check_type(name: str, value: object, expected: type | tuple[type, ...], what: str) -> None:
    """Refuse an argument of the wrong type. `True` and `False` do not count as integers.

    Args:
        name: The name of the argument.
        value: Its value.
        expected: The types that it may have.
        what: The words for these types in the error, such as `a whole number`.

    Raises:
        BadInput: When the type is wrong. The error names the argument.
    """
    wrong_bool = isinstance(value, bool) and expected is int
    if not isinstance(value, expected) or wrong_bool:
        raise BadInput(f"`{name}` is {what}, not {shown(value)}")


def check_whole_number(name: str, value: object) -> None:
    """Refuse an argument that is not an integer.

    Raises:
        BadInput: When it is not. The error names the argument.
    """
    check_type(name, value, int, "a whole number")


def check_names(name: str, value: object, what: str = "a list of names") -> None:
    """Refuse an argument that is not a list, tuple or set of strings. A single string is refused, too.

    Args:
        name: The name of the argument.
        value: Its value.
        what: The words for what is expected in the error.

    Raises:
        BadInput: When the argument is refused. The error names it.
    """
    is_list = isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes))
    if not is_list or not all(isinstance(each, str) for each in cast(Sequence[Any], value)):
        raise BadInput(f"`{name}` is {what}, not {shown(value)}")


def user_path(path: str | os.PathLike[str]) -> Path:
    """Expand `~` or `~NAME` at the start of a path to a home folder, as in a shell.

    If there is no user NAME, the path is returned unchanged.

    Args:
        path: The path, as a user gave it.
    """
    # `Path.expanduser` raises an error if there is no such user, and takes `./~` for `~`.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def as_path(name: str, value: object) -> Path:
    """Return an argument as a path with `~` expanded. Nothing has to exist there.

    Raises:
        BadInput: When the argument is not a path, or the file system rejects it. The error names the argument.
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
    """Return an argument as text for a message; if the text is long or cannot be made, name its type instead."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = ""
    return text if 0 < len(text) <= MAX_SHOWN else f"of the type {type(value).__name__}"
