"""The Python API: train a config, with pictures, metrics and a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ganframe.config.experiment import Experiment
from ganframe.evaluation.callbacks import make_evaluation_callbacks
from ganframe.files import user_path
from ganframe.runs.folder import RunFolder
from ganframe.training.start_or_resume import train_experiment


def train(
    experiment: Experiment,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    allow_changes: Collection[str] = (),
    name: str = "run",
    hooks: Sequence[object] = (),
) -> RunFolder:
    """Train the networks that a config describes, and write pictures, metrics and a report to the run folder.

    Args:
        experiment: The config.
        out: The run folder; `runs/NAME-TIME/` when None. An existing run is never overwritten.
        resume: Resume the run in `out` from its last checkpoint. A run that is interrupted by SIGINT or SIGTERM saves
            a checkpoint at the end of its step.
        allow_changes: Dotted paths of the settings in which the config may differ from that of the resumed run. The
            path `train` allows all settings under `train`.
        name: The NAME in the default run folder `runs/NAME-TIME/`.
        hooks: Objects whose methods marked with `ganframe.hookimpl` are called during this run.

    Returns:
        The run folder.

    Raises:
        BadInput: When the config, the data, the folder or the checkpoint cannot be used.
        RunFailed: When the run cannot go on, such as after a loss that is not finite.
    """
    return train_experiment(
        experiment,
        out=user_path(out) if out else None,
        resume=resume,
        allow_changes=allow_changes,
        name=name,
        hooks=hooks,
        make_callbacks=make_evaluation_callbacks,
    )
