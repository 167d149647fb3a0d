"""Read an experiment from a YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganframe.config.error_positions import (
    Document,
    read_document,
)
from ganframe.config.experiment import Experiment
from ganframe.config.overrides import apply_override


@dataclass
class Loaded:
    """An experiment and the document that it was read from."""

    experiment: Experiment
    document: Document


def load_experiment(file: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read and validate a config.

    Args:
        file: A YAML file.
        overrides: Settings to override, each as `a.b=c`: a dotted path and a YAML value.

    Raises:
        BadInput: When the config is not valid. The message has the line and column of each mistake.
    """
    document = read_document(file)
    for override in overrides:
        apply_override(document, override)
    with document.errors():
        return Loaded(Experiment.model_validate(document.data), document)
