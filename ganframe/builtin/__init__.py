"""The components of the core: schedules, optimizers, turn conditions and a logger, registered as by a plugin."""

from __future__ import annotations

from collections.abc import Callable

from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD, Adam, AdamW, RMSprop
from ganframe.builtin.schedules import Cosine, Linear, Piecewise
from ganframe.builtin.turn_conditions import DiscriminatorAccuracy, EveryKthStep, Probability
from ganframe.config.component import Component
from ganframe.config.hook_markers import hookimpl


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the schedules, optimizers, turn conditions and the logger of the core."""
    for cls in (Linear, Cosine, Piecewise, Adam, AdamW, RMSprop, SGD, Jsonl):
        register(cls)
    for cls in (EveryKthStep, Probability, DiscriminatorAccuracy):
        register(cls)
