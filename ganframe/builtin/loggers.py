"""Config of the logger that writes JSON Lines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config.component_kinds import LoggerConfig


class Jsonl(LoggerConfig):
    """Scalars as JSON Lines in `scalars.jsonl`, metrics in `metrics.jsonl`."""

    type: Literal["jsonl"] = "jsonl"
    every: int = Field(default=10, ge=1)
    """Number of training steps from one line of scalars to the next."""

    @override
    def build(self) -> object:
        from ganframe.builtin.jsonl import JsonlLogger  # slow to import

        return JsonlLogger(self.every)
