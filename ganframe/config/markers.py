"""The marks of pluggy: `hookimpl` on a function of a plugin, `hookspec` on the hook that it implements."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("ganframe")
hookimpl = pluggy.HookimplMarker("ganframe")


def has_hooks(live: object) -> bool:
    """Return whether an object has methods marked with `hookimpl`."""
    methods = (getattr(type(live), name, None) for name in dir(type(live)))
    return any(hasattr(method, "ganframe_impl") for method in methods)
