"""Loggers: lines of JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganframe.config.kinds import LoggerConfig


class Jsonl(LoggerConfig):
    """Scalars as lines of JSON in `scalars.jsonl`, metrics in `metrics.jsonl`."""

    type: Literal["jsonl"] = "jsonl"
    every: int = Field(default=10, ge=1)
    """Write each k-th step."""

    def build(self) -> object:
        """See base class."""
        from ganframe.builtin.jsonl import JsonlLogger  # noqa: PLC0415  a run's machinery is not needed to list types

        return JsonlLogger(self.every)
