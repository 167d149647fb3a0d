"""Training generative adversarial networks in PyTorch, out of plugins.

Importing `ganframe` never imports torch; `train` and `load` do when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganframe.errors import BadInput, RunFailed
from ganframe.hookspecs import hookimpl

if TYPE_CHECKING:
    from ganframe.experiment import Experiment
    from ganframe.presets import load_config
    from ganframe.trained import Trained, load
    from ganframe.training import train

_LAZY = {
    "Experiment": "ganframe.experiment",
    "Trained": "ganframe.trained",
    "load": "ganframe.trained",
    "load_config": "ganframe.presets",
    "train": "ganframe.training",
}

__all__ = ["BadInput", "Experiment", "RunFailed", "Trained", "hookimpl", "load", "load_config", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ganframe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return __all__
