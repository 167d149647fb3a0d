"""The config, data and log lines of a run up to a checkpoint, which a resumed run is compared with."""

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
"""Maximum number of characters of a setting's value that a message shows."""


@dataclass(frozen=True)
class RunIdentity:
    """The config, data and log lines of a run up to a checkpoint.

    Attributes:
        config: The config as plain data, without settings at their defaults.
        data: The number of examples, specs and files of the data; None if unknown.
        logs: The lines of each log, by the name of its file.
    """

    config: dict[str, Any]
    data: DataIdentity | None = None
    logs: dict[str, LogLines] = field(default_factory=dict[str, LogLines])

    def config_changes(self, now: Experiment) -> dict[str, str]:
        """Return the old and new value of each setting that differs in `now`, by dotted path: `0.001 -> 0.003`."""
        try:
            changes = Experiment.model_validate(self.config).changes(now)
        except (ValidationError, BadInput):  # such as if a type is no longer installed
            changes = plain_changes(self.config, now.dump())
        return {path: f"{_shown(before)} -> {_shown(after)}" for path, (before, after) in changes.items()}


def _shown(value: Any) -> str:
    """Return a value as one short line of text, without control characters."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= MAX_SHOWN_VALUE else f"{text[: MAX_SHOWN_VALUE - 3]}..."


@dataclass(frozen=True)
class AllowedChanges:
    """The config and data of a run after a checkpoint, in which changes were allowed.

    Attributes:
        step: The step of the checkpoint.
        identity: The config and data from there on.
    """

    step: int
    identity: RunIdentity


def to_json(identity: RunIdentity | AllowedChanges) -> bytes:
    """Return the config, data and logs of a run as JSON, in which NaN and Infinity may occur."""
    return json.dumps(asdict(identity)).encode()


RUN_IDENTITY: TypeAdapter[RunIdentity] = TypeAdapter(RunIdentity)
ALLOWED_CHANGES: TypeAdapter[AllowedChanges] = TypeAdapter(AllowedChanges)
