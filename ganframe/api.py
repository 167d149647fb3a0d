"""The Python API: train a config, with pictures, metrics and a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ganframe.config.experiment import Experiment
from ganframe.distributed.standard_streams import forgiving_streams
from ganframe.evaluation.callbacks import make_evaluation_callbacks
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

    What is printed meanwhile may be lost, but never ends the run: a stdout or stderr that breaks is given up.

    Args:
        experiment: The config.
        out: The run folder; `runs/NAME-TIME/` when None. An existing run is never overwritten.
        resume: Resume the run in `out` from its last checkpoint. A run that is interrupted by SIGINT or SIGTERM saves
            a checkpoint at the end of its step, and so does one whose terminal is closed (SIGHUP).
        allow_changes: Settings, as dotted paths, in which the config may differ from that of the resumed run; `train`
            stands for all settings under it.
        name: The NAME in the default run folder `runs/NAME-TIME/`.
        hooks: Objects whose methods marked with `ganframe.hookimpl` are called during this run.

    Returns:
        The run folder.

    Raises:
        BadInput: When the config, the data, the folder or the checkpoint cannot be used.
        RunFailed: When the run cannot go on, such as after a loss that is not finite.
    """
    with forgiving_streams():
        return train_experiment(
            experiment,
            out=Path(out) if out else None,
            resume=resume,
            allow_changes=allow_changes,
            name=name,
            hooks=hooks,
            make_callbacks=make_evaluation_callbacks,
        )
