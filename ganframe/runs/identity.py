"""The identity of a run at a checkpoint: its config, its data, and the lines of its logs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ganframe.config.experiment import Experiment, plain_changes
from ganframe.data.identity import DataIdentity
from ganframe.errors import BadInput
from ganframe.runs.log_lines import LogLines

MAX_SHOWN_VALUE = 40
"""The largest number of characters of the value of a setting that a message shows."""


@dataclass(frozen=True)
class RunIdentity:
    """The config, data and log lines of a run up to a checkpoint.

    Attributes:
        config: The config as plain data, without values that equal the defaults.
        data: The identity of the data; None where that is not known.
        logs: The lines of each log, by the name of its file.
    """

    config: dict[str, Any]
    data: DataIdentity | None = None
    logs: dict[str, LogLines] = field(default_factory=dict[str, LogLines])

    def config_changes(self, now: Experiment) -> dict[str, str]:
        """Return what each setting that is different now was and is, by its dotted path: `0.001 -> 0.003`."""
        try:
            changes = Experiment.model_validate(self.config).changes(now)
        except (ValidationError, BadInput):  # such as of a type that is installed no more
            changes = plain_changes(self.config, now.dump())
        return {path: f"{_shown(before)} -> {_shown(after)}" for path, (before, after) in changes.items()}


def _shown(value: Any) -> str:
    """Return a value as short text of one line, without control characters."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= MAX_SHOWN_VALUE else f"{text[: MAX_SHOWN_VALUE - 3]}..."


@dataclass(frozen=True)
class AllowedChanges:
    """The config and data of a run from a checkpoint on, after a change was allowed by name.

    Attributes:
        step: The step of the checkpoint.
        identity: The config and the data from there.
    """

    step: int
    identity: RunIdentity


def to_json(identity: RunIdentity | AllowedChanges) -> bytes:
    """Return an identity as JSON, which may have the numbers NaN and Infinity, as a config may."""
    return json.dumps(asdict(identity)).encode()


RUN_IDENTITY: TypeAdapter[RunIdentity] = TypeAdapter(RunIdentity)
ALLOWED_CHANGES: TypeAdapter[AllowedChanges] = TypeAdapter(AllowedChanges)
