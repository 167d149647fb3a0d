"""The marks of pluggy: `hookimpl` on a function of a plugin, `hookspec` on the hook that it implements."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("ganframe")
"""Marks the specification of a hook."""
hookimpl = pluggy.HookimplMarker("ganframe")
"""Marks a function or method as the implementation of the hook of the same name."""


def has_hooks(live: object) -> bool:
    """Return whether an object has methods marked with `hookimpl`."""
    methods = (getattr(type(live), name, None) for name in dir(type(live)))
    return any(hasattr(method, "ganframe_impl") for method in methods)
