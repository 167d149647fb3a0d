"""A framework that trains generative adversarial networks in PyTorch; games, networks and losses are plugins.

Importing `ganframe` does not import torch; the first use of `train` or `load` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganframe.config import installed_components as _installed_components
from ganframe.config.hook_markers import hookimpl
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.plugins.discovery import installed as _installed

if TYPE_CHECKING:
    from ganframe.api import train
    from ganframe.config.experiment import Experiment
    from ganframe.config.presets import load_config
    from ganframe.evaluation.loaded_run import LoadedRun, load
    from ganframe.runs.folder import RunFolder
    from ganframe.runs.logs import PendingScalars, pending_scalars
    from ganframe.training.run_state import Run

_installed_components.find_installed = _installed

_LAZY = {
    "Experiment": "ganframe.config.experiment",
    "LoadedRun": "ganframe.evaluation.loaded_run",
    "PendingScalars": "ganframe.runs.logs",
    "Run": "ganframe.training.run_state",
    "RunFolder": "ganframe.runs.folder",
    "load": "ganframe.evaluation.loaded_run",
    "load_config": "ganframe.config.presets",
    "pending_scalars": "ganframe.runs.logs",
    "train": "ganframe.api",
}

__all__ = [
    "BadInput",
    "Experiment",
    "LoadedRun",
    "PendingScalars",
    "Run",
    "RunFailed",
    "RunFolder",
    "hookimpl",
    "load",
    "load_config",
    "pending_scalars",
    "train",
    "writing",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ganframe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
