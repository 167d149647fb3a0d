"""The Python API: train a config, with pictures, metrics and a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ganframe.config.experiment import Experiment
from ganframe.evaluation.callbacks import make_evaluation_callbacks
from ganframe.runs.folder import RunFolder
from ganframe.training.start_or_resume import train_experiment


def train(
    experiment: Experiment,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    allow_changes: Collection[str] = (),
    break_lock: bool = False,
    name: str = "run",
    hooks: Sequence[object] = (),
) -> RunFolder:
    """Train the networks that a config describes, and write pictures, metrics and a report to the run folder.

    Args:
        experiment: The config.
        out: The run folder; `runs/NAME-TIME/` when None. An existing run is never overwritten.
        resume: Resume the run in `out` from its last checkpoint. A run that is interrupted by SIGINT or SIGTERM saves
            a checkpoint at the end of its step.
        allow_changes: Settings, as dotted paths, in which the config may differ from that of the resumed run; `train`
            stands for all settings under it, and `data` for other examples of the data set, too.
        break_lock: Resume a run whose lock belongs to a process of another machine, which is known to have ended.
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
        out=Path(out) if out else None,
        resume=resume,
        allow_changes=allow_changes,
        break_lock=break_lock,
        name=name,
        hooks=hooks,
        make_callbacks=make_evaluation_callbacks,
    )
