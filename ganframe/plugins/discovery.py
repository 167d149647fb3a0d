"""Finding and loading of the installed plugins. A plugin that fails is listed as broken and left out."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pluggy

from ganframe.config.component import Component
from ganframe.errors import BadInput, describe
from ganframe.plugins import hookspecs
from ganframe.plugins.registry import NameTaken, Registry

if TYPE_CHECKING:
    from typer import Typer


GROUP = "ganframe"
"""The group of entry points that name plugins."""
CORE = "ganframe"
"""The name of the entry point of the core's own plugin."""


@dataclass(frozen=True)
class Plugin:
    """One installed plugin, loaded or broken.

    Attributes:
        name: The name of the plugin's entry point.
        package: The distribution that supplies the plugin.
        version: The version of the distribution.
        module: The module that the entry point names.
        error: The reason why the plugin cannot be loaded; empty if it was loaded.
    """

    name: str
    package: str
    version: str
    module: str
    error: str = ""

    def location(self) -> str:
        """Return the file of the plugin's top-level module, without importing it; empty if there is none."""
        spec = find_spec(self.module.partition(":")[0].partition(".")[0])
        return spec.origin or "" if spec else ""


@dataclass
class Installed:
    """The plugins of the installed packages, and the types and presets that they supply."""

    manager: pluggy.PluginManager
    registry: Registry = field(default_factory=Registry)
    presets: dict[str, tuple[Path, str]] = field(default_factory=dict[str, tuple[Path, str]])
    plugins: list[Plugin] = field(default_factory=list[Plugin])

    def add(self, name: str, package: str, version: str, load: Callable[[], object], module: str) -> None:
        """Load a plugin and register everything that it supplies; if any of that fails, list it as broken instead.

        Args:
            name: The name of its entry point.
            package: The distribution that supplies it.
            version: The version of the distribution.
            load: Imports the plugin and returns it.
            module: The module that the entry point names.
        """
        registry, presets = self.registry.copy(), dict(self.presets)

        def register_component(cls: type[Component]) -> None:
            registry.add(cls, package)

        def register_presets(folder: Path) -> None:
            for path in sorted(folder.glob("*.yaml")):
                if presets.get(path.stem, (path,))[0] != path:
                    raise NameTaken(f"preset {path.stem!r} of {package} is already supplied by {presets[path.stem][1]}")
                presets[path.stem] = (path, package)

        trial = new_manager()
        listed = Plugin(name, package, version, module)
        try:
            plugin = load()
            register_hooks(trial, plugin, name)
            trial.hook.register_components.call_historic(kwargs={"register": register_component})
            trial.hook.register_presets.call_historic(kwargs={"register": register_presets})
            if isinstance(plugin, ModuleType) and plugin.__file__ and hasattr(plugin, "__path__"):
                register_presets(Path(plugin.__file__).parent / "presets")
            self.manager.register(plugin, name)
            self.registry, self.presets = registry, presets
        except (Exception, SystemExit) as problem:
            listed = _mark_broken(listed, problem)
        self.plugins.append(listed)

    def find_type(self, kind: str, name: str) -> type[Component] | str:
        """Return the config class with this type name or alias; if there is none, an error message with a remedy."""
        return self.registry.find(kind, name)

    def type_names(self, kind: str) -> list[str]:
        """Return the type names of a kind, without aliases, sorted."""
        return self.registry.types(kind)

    def types(self) -> Iterator[tuple[type[Component], str]]:
        """Yield every config class with the package that supplies it, by kind, then by name."""
        return iter(self.registry)

    def broken_packages(self) -> list[str]:
        """Return the names of the packages whose plugins cannot be loaded."""
        return [plugin.package for plugin in self.plugins if plugin.error]

    def add_commands(self, cli: Typer) -> None:
        """Let every plugin add its commands to the command line; list plugins whose hook fails as broken."""
        for hook in self.manager.hook.register_commands.get_hookimpls():
            try:
                hook.function(*(cli for _ in hook.argnames))
            except (Exception, SystemExit) as problem:
                names = [plugin.name for plugin in self.plugins]
                index = names.index(hook.plugin_name)
                self.plugins[index] = _mark_broken(self.plugins[index], problem)


def _mark_broken(plugin: Plugin, problem: BaseException) -> Plugin:
    """Return the plugin with its error; if GANFRAME_STRICT_PLUGINS=1 is in the environment, raise BadInput instead."""
    error = describe(problem) + _raised_in(plugin, problem)
    if os.environ.get("GANFRAME_STRICT_PLUGINS") == "1":
        raise BadInput(
            f"plugin {plugin.name!r} ({plugin.package} {plugin.version}, {plugin.module}) cannot be loaded: {error}",
            remedy="Fix or uninstall it, or unset GANFRAME_STRICT_PLUGINS.",
        ) from problem
    return dataclasses.replace(plugin, error=error)


def _raised_in(plugin: Plugin, problem: BaseException) -> str:
    """Return the innermost line of the plugin's own module in a traceback; empty if there is none."""
    top = plugin.module.partition(":")[0].partition(".")[0]
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(problem.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == top
    ]
    return f" ({places[-1]})" if places else ""


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager with the hooks of ganframe and without plugins."""
    manager = pluggy.PluginManager("ganframe")
    manager.add_hookspecs(hookspecs)
    return manager


def register_hooks(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register the hooks of a plugin or another object. The manager must not have any other plugin yet.

    Raises:
        PluginValidationError: When a hook does not exist or lacks an argument that its implementation names, or when a
            module has an unmarked function with the name of a hook.
    """
    known = [hook for hook, value in vars(hookspecs).items() if hasattr(value, "ganframe_spec")]
    for hook in known if isinstance(plugin, ModuleType) else ():
        function = vars(plugin).get(hook)
        if callable(function) and not hasattr(function, "ganframe_impl"):
            message = f"{hook} has the name of a hook, but is not marked with `@ganframe.hookimpl`"
            raise pluggy.PluginValidationError(plugin, message)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as problem:
        raise pluggy.PluginValidationError(plugin, _rephrased(str(problem))) from None


def _rephrased(message: str) -> str:
    """Rephrase pluggy's message about a hook in one line, with the arguments that the hook has."""
    hook = next(iter(re.findall(r"hook '(\w+)'", message)), "")
    wrong = ", ".join(re.findall(r"Argument\(s\) \{(.*)\} are declared", message))
    if wrong:
        arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
        return f"the hook {hook} has no argument {wrong}; it has: {arguments}"
    if message.startswith("unknown hook"):
        return f"unknown hook {hook!r}"
    return " ".join(message.split())


@functools.cache
def installed() -> Installed:
    """Return the installed plugins with their types and presets. The first call loads them.

    If `GANFRAME_LOAD_PLUGINS=a,b` is in the environment, only the plugins `a` and `b` and that of the core are loaded.
    If `GANFRAME_STRICT_PLUGINS=1` is in the environment, a broken plugin is an error.

    Raises:
        BadInput: When a plugin is broken and `GANFRAME_STRICT_PLUGINS` is 1, or `GANFRAME_LOAD_PLUGINS` names a plugin
            that is not installed.
    """
    found = Installed(new_manager())
    # The core's own plugin is loaded first, even if GANFRAME_LOAD_PLUGINS does not name it.
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name != CORE, point.name))
    limit = os.environ.get("GANFRAME_LOAD_PLUGINS")
    if limit is not None:
        wanted = {name.strip() for name in limit.split(",")} - {""}
        others = [point.name for point in points if point.name != CORE]
        absent = wanted - {*others}
        if absent:
            raise BadInput(
                f"no plugin is called {', '.join(sorted(absent))}",
                place=f"GANFRAME_LOAD_PLUGINS={limit}",
                remedy=f"Installed: {', '.join(others)}.",
            )
        points = [point for point in points if point.name in {CORE, *wanted}]
    for point in points:
        found.add(point.name, *_distribution(point), point.load, point.value)
    return found


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
