"""The Python API: train a config, with pictures, metrics and a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ganframe.config.arguments import as_path, check_names, check_type
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
    break_lock: bool = False,
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
        allow_changes: Dotted paths of the settings in which the config may differ from that of the resumed run. The
            path `train` allows all settings under `train`; `data` also allows other examples of the data set.
        break_lock: Resume a run whose lock belongs to a process of another machine, which is known to have ended.
        name: The NAME in the default run folder `runs/NAME-TIME/`.
        hooks: Objects whose methods marked with `ganframe.hookimpl` are called during this run.

    Returns:
        The run folder.

    Raises:
        BadInput: When the config, the data, the folder, the checkpoint or an argument cannot be used.
        RunFailed: When the run cannot go on, such as after a loss that is not finite.
    """
    check_type("experiment", experiment, Experiment, "an Experiment, as `load_config` returns it")
    folder = None if out is None else as_path("out", out)
    check_type("resume", resume, bool, "True or False")
    check_names("allow_changes", allow_changes, "a list of settings")
    check_type("break_lock", break_lock, bool, "True or False")
    check_type("name", name, str, "a text")
    check_type("hooks", hooks, (list, tuple), "a list of objects")
    with forgiving_streams():
        return train_experiment(
            experiment,
            out=folder,
            resume=resume,
            allow_changes=allow_changes,
            break_lock=break_lock,
            name=name,
            hooks=hooks,
            make_callbacks=make_evaluation_callbacks,
        )
