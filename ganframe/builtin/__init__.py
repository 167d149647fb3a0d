"""The components of the core itself: number schedules, optimizers, and the JSONL log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from ganframe.config.component import Component
from ganframe.config.kinds import LoggerConfig, OptimizerConfig
from ganframe.config.schedules import Bounds, ScheduleConfig, Scheduled, value_at
from ganframe.config.settings import Settings
from ganframe.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game.protocols import Optimizer
from ganframe.builtin.loggers import Jsonl
from ganframe.builtin.optimizers import SGD, Adam, AdamW, DecayRate, RMSprop, _adam
from ganframe.builtin.schedules import Cosine, Linear, Piecewise, Step, _Ramp


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register what the core brings."""
    for cls in (Linear, Cosine, Piecewise, Adam, AdamW, RMSprop, SGD, Jsonl):
        register(cls)
