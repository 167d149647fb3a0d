"""Scalars, metrics and pictures of a run in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import Component, LoggerConfig, hookimpl


class TensorBoard(LoggerConfig):
    """Writes event files into the folder `tensorboard` of the run: `tensorboard --logdir runs` shows them."""

    type: Literal["tensorboard"] = "tensorboard"
    every: int = Field(default=10, ge=1)
    """Number of steps from one record of scalars to the next; metrics and pictures are always written."""

    @override
    def build(self) -> object:
        from ganframe_tensorboard.logger import TensorBoardLogger  # slow to import

        return TensorBoardLogger(self.every)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the logger."""
    register(TensorBoard)
