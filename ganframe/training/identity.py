"""Checks that a resumed run has the config, data and logs that it was trained with."""

from __future__ import annotations

from collections.abc import Collection

from ganframe.config.settings import synonyms
from ganframe.distributed.notices import print_notice
from ganframe.errors import BadInput
from ganframe.files import read_json, write_atomically
from ganframe.runs.checkpoint_files import read_identity
from ganframe.runs.folder import RunFolder
from ganframe.runs.identity import ALLOWED_CHANGES, AllowedChanges, RunIdentity, to_json
from ganframe.training.run_state import Run


def describe_identity(run: Run) -> RunIdentity:
    """Return the config, the data and the log lines of a run up to its current step."""
    logs = {}
    for name, until in run.last_logged_steps().items():
        run.log_tallies[name].update()
        logs[name] = run.log_tallies[name].lines(until)
    return RunIdentity(run.experiment.dump(), run.data, logs)


def refuse_changes(run: Run, step: int, allow_changes: Collection[str]) -> None:
    """Refuse to resume from a checkpoint with another config or other data, unless each change was allowed.

    Args:
        run: The run, with the config and data to resume with.
        step: The step of the checkpoint.
        allow_changes: Settings that may differ, as dotted paths; `data` also allows other data.

    Raises:
        BadInput: When there is a change that was not allowed. The error lists all of them.
    """
    identity = _identity_at(run.folder, step)
    if identity is None:
        return  # a run of version 0.1.0
    changes = identity.config_changes(run.experiment)
    refused = not_allowed(changes, allow_changes)
    if refused:
        raise BadInput(
            f"the config differs from that of the checkpoint of step {step} in: "
            + ", ".join(f"{path} ({changes[path]})" for path in refused),
            place=str(run.folder.path / "config.yaml"),
            remedy=f"Take the changes back, start a new run with another --out, or say {allowing(refused)}.",
        )
    if identity.data is None or run.data is None or not not_allowed(["data"], allow_changes):
        return
    different = identity.data.changes(run.data)
    if different:
        raise BadInput(
            f"the data are not those that the run was trained with up to step {step}: {'; '.join(different)}",
            path=("data",),
            remedy=f"Take the changes back, start a new run with another --out, or say {allowing(['data'])}.",
        )


def note_allowed_changes(run: Run) -> None:
    """Save the config and data of a resumed run to `allowed-changes.json`, if they differ from those before."""
    before, now = _identity_at(run.folder, run.step), RunIdentity(run.experiment.dump(), run.data)
    if not run.resumed or before is None or (before.config, before.data) == (now.config, now.data):
        return
    write_atomically(run.folder.allowed_changes, to_json(AllowedChanges(run.step, now)))


def say_log_problems(run: Run) -> None:
    """Print a notice for each log of a resumed run whose lines are not those that the run has written."""
    identity = read_identity(run.folder.checkpoints, run.step) if run.resumed else None
    for name, until in run.last_logged_steps().items():
        if identity is not None and name in identity.logs:
            log = run.folder.path / name
            for problem in identity.logs[name].problems(log, until):
                print_notice("this log has changed since the run wrote it", f"{log}: {problem}")


def not_allowed(paths: Collection[str], allow_changes: Collection[str]) -> list[str]:
    """Return the dotted paths that are neither in `allow_changes` nor below one of these."""
    return [path for path in paths if not any(_covers(allowed, path) for allowed in allow_changes)]


def allowing(paths: Collection[str]) -> str:
    """Return the command-line options that allow these settings to change."""
    return " ".join(f"--allow-changes {path}" for path in paths)


def _identity_at(folder: RunFolder, step: int) -> RunIdentity | None:
    """Return the config and data to resume a checkpoint with; None if they are unknown, as in version 0.1.0."""
    if folder.allowed_changes.is_file():
        allowed = read_json(folder.allowed_changes, ALLOWED_CHANGES)
        if allowed.step == step:
            return allowed.identity
    return read_identity(folder.checkpoints, step)


def _covers(allowed: str, path: str) -> bool:
    """Return whether a dotted path is `allowed` or below it; `allowed` may use former names of settings."""
    keys, allowed_keys = path.split("."), allowed.split(".")
    return len(keys) >= len(allowed_keys) and all(
        key in synonyms(allowed_key) for key, allowed_key in zip(keys, allowed_keys, strict=False)
    )
