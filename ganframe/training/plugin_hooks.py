"""Calls of the hooks of a run, which installed plugins and other objects implement."""

from __future__ import annotations

import pluggy

from ganframe.errors import BadInput, RunFailed, describe
from ganframe.plugins.author_code import raised_at, source_of
from ganframe.plugins.discovery import installed, new_manager, register_hooks


class RunHooks:
    """The hooks that the installed plugins, and the listeners of one run, implement.

    Args:
        listeners: Objects with methods marked `@ganframe.hookimpl`. They are called before the plugins, the last
            listener first.

    Raises:
        BadInput: When a plugin or listener implements a hook that does not exist, or uses a hook wrapper of pluggy.
    """

    def __init__(self, *listeners: object) -> None:
        self._manager = new_manager()
        self._names: dict[int, str] = {}
        plugins = installed().manager.list_name_plugin()
        for name, listener in [*plugins, *((type(listener).__qualname__, listener) for listener in listeners)]:
            try:
                register_hooks(new_manager(), listener, name)  # only a check; listeners may share a name
            except pluggy.PluginValidationError as problem:
                remedy = "All hooks and their arguments are in `ganframe.plugins.hookspecs`."
                raise BadInput(f"{name}: {problem}", place=source_of(listener), remedy=remedy) from None
            self._manager.register(listener)
            self._names[id(listener)] = name
        self._check()

    def _check(self) -> None:
        for listener in self._manager.get_plugins():
            for caller in self._manager.get_hookcallers(listener) or ():
                for implementation in caller.get_hookimpls():
                    if implementation.hookwrapper or implementation.wrapper:
                        name = self._names[id(implementation.plugin)]
                        raise BadInput(f"plugin {name!r} wraps the hook {caller.name}, which runs do not support")

    def call(self, hook: str, **arguments: object) -> None:
        """Call every implementation of a hook, each with the arguments that its signature names.

        Args:
            hook: The name of a hook in `ganframe.plugins.hookspecs`.
            arguments: All arguments of the hook.

        Raises:
            RunFailed: When an implementation raises anything but `BadInput`. The message has the plugin, the hook and
                the reason.
        """
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (BadInput, RunFailed):
                raise
            except Exception as problem:
                name = self._names[id(implementation.plugin)]
                message = f"plugin {name!r} failed in {hook}: {describe(problem)}"
                place = raised_at(problem)
                raise RunFailed(f"{message} ({place})" if place else message) from problem
