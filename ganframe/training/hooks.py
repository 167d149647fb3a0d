"""The hooks of a run: who listens, and whose function failed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pluggy

from ganframe.errors import BadInput, RunFailed

if TYPE_CHECKING:
    pass
from ganframe.plugins.discovery import _short, installed, new_manager


def run_manager(*extra: object) -> pluggy.PluginManager:
    """A manager for one run: the installed plugins, and these objects in order.

    An exception in a hook names the plugin that it comes from.

    Raises:
        BadInput: When an object implements a hook that there is not.
    """
    manager = new_manager()
    named = [*installed().manager.list_name_plugin(), *((type(each).__qualname__, each) for each in extra)]
    for name, plugin in named:
        manager.register(plugin)
        for caller in manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    # pluggy offers no wrapper that knows whose function it calls.
                    vars_of = cast(Any, implementation)
                    vars_of.function = _named(name, caller.name, implementation.function)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as problem:
        message = f"{type(problem.plugin).__qualname__}: {str(problem).partition(' in plugin')[0]}"
        raise BadInput(message, remedy="The hooks that there are: `ganframe.plugins.hookspecs`.") from None
    return manager


def listens(live: object) -> bool:
    """Whether an object has methods marked `@ganframe.hookimpl`."""
    methods = (getattr(type(live), name, None) for name in dir(type(live)))
    return any(hasattr(method, "ganframe_impl") for method in methods)


def _named(plugin: str, hook: str, function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except (BadInput, RunFailed):
            raise
        except Exception as problem:
            raise RunFailed(f"plugin {plugin!r} failed in {hook}: {_short(problem)}") from problem

    return call
