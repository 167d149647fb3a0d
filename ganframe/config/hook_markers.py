"""The pluggy decorators of ganframe: `hookspec` declares a hook, `hookimpl` marks a function that implements one."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("ganframe")
"""Decorator that marks a function as the specification of a hook."""
hookimpl = pluggy.HookimplMarker("ganframe")
"""Decorator that marks a function or method as an implementation of the hook of the same name."""


def has_hooks(live: object) -> bool:
    """Return whether any method of an object is marked with `hookimpl`."""
    methods = (getattr(type(live), name, None) for name in dir(type(live)))
    return any(hasattr(method, "ganframe_impl") for method in methods)
