"""Errors for mistakes in the code of plugins, which name the package, the file and the line."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganframe.config.component import Component
from ganframe.config.component_kinds import KINDS
from ganframe.config.validation_errors import with_article
from ganframe.errors import BadInput, RunFailed, describe
from ganframe.plugins.discovery import installed

SEE_TRACEBACK = "With GANFRAME_TRACEBACK=1 in the environment, the traceback is shown."

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def name_of(code: Any) -> str:
    """Return the name of a class or method for messages, without the functions around it: `Duel.fake`."""
    return getattr(code, "__qualname__", type(code).__name__).rpartition("<locals>.")[2]


def source_of(code: object) -> str:
    """Return the file and line of a class, of a method or of an object's class: `my-gan: /src/my_gan/game.py:12`.

    The package is left out if no installed plugin supplies the module. The result is empty if there is no source, or if
    the source is in the core or in a library.
    """
    if not (inspect.isroutine(code) or isinstance(code, type)):
        code = type(code)
    # A class made by `type()` has no source lines, so the first base class with source lines is used.
    for each in code.__mro__ if isinstance(code, type) else (inspect.unwrap(code),):
        try:
            file, (_, line) = inspect.getsourcefile(each), inspect.getsourcelines(each)
        except (OSError, TypeError):
            continue
        if _is_library(each.__module__, str(file)):
            break
        return _place(each.__module__, str(file), line)
    return ""


def raised_at(problem: BaseException) -> str:
    """Return the innermost line of a traceback that is neither in the core nor in a library.

    Returns:
        The line, as `my-gan: /src/my_gan/game.py:12`; empty if there is none.
    """
    place = ""
    for frame, line in traceback.walk_tb(problem.__traceback__):
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))
        if not _is_library(module, file):
            place = _place(module, file, line)
    return place


def describe_failure(problem: BaseException) -> str:
    """Describe an exception in the code of a plugin: the file and line, the error, and how to see the traceback.

    Returns:
        The message; empty if the exception does not come from a plugin.
    """
    place, notes = raised_at(problem), getattr(problem, "__notes__", [])
    if not place and not notes:
        return ""
    what = "; ".join([describe(problem), *notes])
    return "\n  ".join([f"{place}: {what}" if place else what, SEE_TRACEBACK])


def _is_library(module: str, file: str) -> bool:
    if module.partition(".")[0] == "ganframe":
        return True
    return not _package(module) and (file.startswith("<") or file.startswith(_LIBRARIES))


def _package(module: str) -> str:
    """Return the distribution of the plugin that contains a module; empty if there is none."""
    top = module.partition(".")[0]
    owners = [plugin.package for plugin in installed().plugins if plugin.module.partition(":")[0].split(".")[0] == top]
    return owners[0] if owners and top != "ganframe" else ""


def _place(module: str, file: str, line: int) -> str:
    place, package = f"{Path(file)}:{line}", _package(module)
    return f"{package}: {place}" if package else place


@contextmanager
def author_code(what: str, source: object) -> Generator[None, None, None]:
    """Convert an exception of a plugin's code, run inside the `with` block, to `BadInput` with its file and line.

    Errors that already have a message for the user, and errors of files, pass unchanged.

    Args:
        what: The code that runs, such as `Duel.player_specs()`.
        source: The class or method. Its file and line are used if no line of the traceback is in a plugin.

    Raises:
        BadInput: In place of the exception.
    """
    try:
        yield
    except (BadInput, RunFailed, ValidationError, OSError, MemoryError):
        raise
    except Exception as problem:
        place = raised_at(problem) or source_of(source)
        raise BadInput(f"{what} failed: {describe(problem)}", place=place, remedy=SEE_TRACEBACK) from problem


def build_live(
    config: Component,
    *arguments: object,
    returns: type = object,
    methods: Mapping[str, int | None] | None = None,
    **named: object,
) -> Any:
    """Call `config.build(...)`, and check the class and methods of the object that it returns.

    Args:
        config: The config.
        arguments: The positional arguments of `build`.
        returns: The class that the object must be an instance of.
        methods: The methods that the object must have, each with the number of arguments that the core passes; None if
            that number varies.
        named: The keyword arguments of `build`.

    Raises:
        BadInput: When the config has no `build`, or `build` fails or returns anything else.
    """
    cls: Any = type(config)  # `build` of each kind has other arguments
    build, owner = cls.build, f"the {config.kind} {name_of(cls)}"
    if any(build is vars(kind).get("build") for kind in KINDS):  # the base class only declares it
        remedy = "Define it: it returns the live object."
        raise BadInput(f"{owner} has no method `build`", place=source_of(cls), remedy=remedy)
    with author_code(f"`build` of {owner}", build):
        live = build(config, *arguments, **named)
    problem = _misfit(live, returns, methods or {})
    if problem:
        raise BadInput(f"`build` of {owner} returned {problem}", place=source_of(build))
    for name, count in (methods or {}).items():
        if count is not None:
            check_arguments(getattr(live, name), f"{name_of(type(live))}.{name}", count)
    return live


def _misfit(live: object, returns: type, methods: Iterable[str]) -> str:
    """Describe what an object is and what it should be; return an empty string if nothing is wrong."""
    if isinstance(live, type):
        return f"the class {name_of(live)}, not an object of it"
    what = "None" if live is None else with_article(name_of(type(live)))
    if not isinstance(live, returns):
        return f"{what}, not {with_article(name_of(returns))}"
    missing = [name for name in methods if not has_method(live, name)]
    return f"{what}, which has no method {' or '.join(f'`{name}`' for name in missing)}" if missing else ""


def has_method(live: object, name: str) -> bool:
    """Return whether an object has a method, other than the `forward` of `nn.Module` itself."""
    method = getattr(live, name, None)
    # Every torch.nn.Module has a `forward`, which only raises an error until a subclass defines one.
    return callable(method) and getattr(method, "__name__", "") != "_forward_unimplemented"


def check_arguments(function: object, name: str, count: int, given: Sequence[str] = ()) -> None:
    """Refuse a function that cannot be called with `count` positional arguments.

    Args:
        function: The function, or a bound method.
        name: The name of the function in the error.
        count: The number of positional arguments.
        given: Names of these arguments in the error.

    Raises:
        BadInput: When the function takes fewer or requires more.
    """
    try:
        signature = inspect.signature(function)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return  # a builtin without a signature
    try:
        signature.bind(*range(count))
    except TypeError:
        which = f" ({', '.join(given)})" if given else ""
        arguments = "1 argument" if count == 1 else f"{count} arguments"
        called = f"{name}({', '.join(signature.parameters)})"
        message = f"{called} is given {arguments}{which}, which its signature does not take"
        raise BadInput(message, place=source_of(function)) from None
