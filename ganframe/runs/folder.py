"""The run folder: its config, the specs of its data, software versions, and the paths of its files."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from ganframe.config.arguments import as_path
from ganframe.config.experiment import Experiment
from ganframe.config.load import load_experiment
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.yaml import MAX_BYTES, dump_yaml
from ganframe.data.summary import DataSummary
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.files import read_bytes, read_json, write_atomically
from ganframe.runs.environment import ENVIRONMENT, Environment, environment, version_changes
from ganframe.runs.lock import Owner, write_lock

MAX_NUMBERS = 2**28
"""Maximum number of elements in one example of a tensor, and of classes of a label."""

MAX_ENTRIES = 500_000
"""Maximum number of files and folders in a run folder."""


def _check_sizes(spec: TensorSpec) -> TensorSpec:
    if min(spec.shape, default=1) < 1 or (spec.classes is not None and spec.classes < 1):
        raise ValueError("sizes and classes must be at least 1")
    if max(math.prod(spec.shape), spec.classes or 1, spec.sample_rate or 1) > MAX_NUMBERS:
        raise ValueError(f"an example has at most {MAX_NUMBERS:,} numbers, and a label as many classes")
    return spec


DATA_SPEC: TypeAdapter[dict[str, TensorSpec]] = TypeAdapter(
    dict[str, Annotated[TensorSpec, AfterValidator(_check_sizes)]]
)


DATA_SUMMARY: TypeAdapter[DataSummary] = TypeAdapter(DataSummary)


PROTOCOLS: TypeAdapter[Mapping[str, Mapping[str, str]]] = TypeAdapter(Mapping[str, Mapping[str, str]])


class FolderTaken(BadInput):
    """The error when the path of a new run folder already exists."""


@dataclass(frozen=True)
class RunFolder:
    """The folder with the files of a run.

    Attributes:
        path: The path of the folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, experiment: Experiment, data: DataSpec, owner: Owner | None = None) -> RunFolder:
        """Create the folder of a new run, with its config, data specs and software versions; on failure, leave none.

        Args:
            path: The folder, which must not exist.
            experiment: The config.
            data: The specs of the data's tensors, saved so that the networks can be built without the data.
            owner: The process that holds the lock of the run from the start; if None, the run is not locked.

        Raises:
            FolderTaken: When the path exists.
            BadInput: When a folder cannot be created there.
            RunFailed: When a file cannot be written, such as on a full disk.
        """
        if path.exists() or path.is_symlink():
            raise _taken(path)
        # The thread ID, which is the process ID in the main thread.
        draft = path.with_name(f".{path.name}.{threading.get_native_id()}.draft")
        shutil.rmtree(draft, ignore_errors=True)  # left by a killed process with the same ID
        try:
            draft.mkdir(parents=True)
        except OSError as problem:
            message = f"the run folder cannot be created: {problem.strerror}"
            if problem.errno == errno.ENOSPC:
                raise RunFailed(f"{path}: {message}") from None
            raise BadInput(message, place=str(path), remedy="Choose another --out.") from None
        try:
            write_atomically(draft / "config.yaml", dump_yaml(experiment.dump()).encode())
            write_atomically(draft / "data.json", DATA_SPEC.dump_json(dict(data), indent=1))
            write_atomically(draft / "environment.json", json.dumps(environment(), indent=1).encode())
            if owner is not None:
                write_lock(draft, owner)
            with writing(path):
                _rename_to_new(draft, path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path)

    def adopt(self, experiment: Experiment, data: DataSpec) -> None:
        """Replace the saved config and data specs if the given ones differ.

        The old config is kept as `config-before-N.yaml`. The new one is written last, so that the run has its old
        config until then.
        """
        config, changed = self.path / "config.yaml", bool(self.experiment().differences(experiment))
        if changed:
            write_atomically(self._next("config-before-{}.yaml"), read_bytes(config, MAX_BYTES))
        specs = DATA_SPEC.dump_json(dict(data), indent=1)
        if changed or not self._has_data(data):
            write_atomically(self.path / "data.json", specs)
        if changed:
            write_atomically(config, dump_yaml(experiment.dump()).encode())

    def _has_data(self, data: DataSpec) -> bool:
        try:
            return self.data() == dict(data)
        except BadInput:
            return False

    def _next(self, pattern: str) -> Path:
        """Return the first path `pattern.format(1)`, `pattern.format(2)`, ... that does not exist."""
        paths = (self.path / pattern.format(number) for number in itertools.count(1))
        return next(path for path in paths if not path.exists())

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the folder of an existing run.

        Raises:
            BadInput: When the folder is not that of a run, contains a link to the outside, or contains anything that is
                neither a file nor a folder. Runs of others are not trusted, because the files of a run are read, shown
                in reports and overwritten.
        """
        path = as_path("run", path)
        if not (path / "config.yaml").is_file():
            raise BadInput("there is no run in this folder (no config.yaml)", place=str(path))
        root = path.resolve()
        for number, entry in enumerate(_entries(path)):
            if number == MAX_ENTRIES:
                message = f"a run folder has at most {MAX_ENTRIES:,} files and folders"
                raise BadInput(message, place=str(path), remedy="Move those that are not of the run.")
            target = Path(entry.path)
            if entry.is_symlink() and not Path(os.path.realpath(target)).is_relative_to(root):
                remedy = "Replace it by the file or folder it leads to, if you trust that."
                raise BadInput("this link leads out of the run folder", place=entry.path, remedy=remedy)
            if not (target.is_file() or target.is_dir()):
                raise BadInput("this is neither a file nor a folder", place=entry.path, remedy="Remove it.")
        folder = cls(path)
        for file in folder._own_files():
            if file.is_dir():
                raise BadInput("this should be a file", place=str(file), remedy="Remove the folder.")
        for each in (folder.pictures, folder.checkpoints):
            if each.exists() and not each.is_dir():
                raise BadInput(f"this should be the folder of {each.name}", place=str(each))
        return folder

    def _own_files(self) -> list[Path]:
        """Return the paths of the files that a run may have."""
        names = ("config.yaml", "data.json", "environment.json")
        logs = (self.scalars, self.metrics, self.quarantine())
        return [*(self.path / name for name in names), *logs, self.samples, self.report]

    def environment(self) -> Environment:
        """Return the software versions with which the run was started or last resumed.

        Raises:
            BadInput: When `environment.json` is missing or malformed.
        """
        return read_json(self.path / "environment.json", ENVIRONMENT)

    def change_environment(self) -> list[str]:
        """Save the current software versions if they differ from the saved ones.

        The old ones are kept as `environment-before-N.json`.

        Returns:
            The differences, such as "torch 2.8.0 instead of 2.7.1".
        """
        before, now = self.environment(), environment()
        changes = version_changes(before, now)
        if changes:
            write_atomically(self._next("environment-before-{}.json"), json.dumps(before, indent=1).encode())
            write_atomically(self.path / "environment.json", json.dumps(now, indent=1).encode())
        return changes

    def experiment(self) -> Experiment:
        """Return the config of the run.

        Raises:
            BadInput: When the config cannot be read.
        """
        return load_experiment(self.path / "config.yaml").experiment

    def data(self) -> DataSpec | None:
        """Return the specs of the training data's tensors, by name; None if the run has not saved them.

        Raises:
            BadInput: When `data.json` is malformed.
        """
        file = self.path / "data.json"
        if not file.is_file():
            return None
        try:
            return read_json(file, DATA_SPEC)
        except BadInput as problem:
            raise BadInput(problem.message, place=str(file)) from None  # errors of a spec do not have the file

    def check_data(self) -> None:
        """Refuse a run whose `data.json` is missing or malformed.

        Raises:
            BadInput: When it is. The error says how to restore or rewrite it.
        """
        try:
            missing, problem = self.data() is None, "this file of the run is missing"
        except BadInput as found:
            missing, problem = True, found.message
        if missing:
            remedy = "Put it back, or add --allow-changes data to write it anew for the data that there are now."
            raise BadInput(problem, place=str(self.path / "data.json"), remedy=remedy)

    def save_data_summary(self, summary: DataSummary) -> None:
        """Save the summary of the training data, for the report.

        Raises:
            RunFailed: When the file cannot be written.
        """
        write_atomically(self.path / "data-summary.json", DATA_SUMMARY.dump_json(summary, indent=1))

    def data_summary(self) -> DataSummary | None:
        """Return the summary of the training data; None if the run has not saved it.

        Raises:
            BadInput: When `data-summary.json` is malformed.
        """
        file = self.path / "data-summary.json"
        return read_json(file, DATA_SUMMARY) if file.is_file() else None

    def save_protocols(self, protocols: Mapping[str, Mapping[str, str]]) -> None:
        """Save how each metric was measured, for the report.

        Args:
            protocols: What else decided the results of a metric, such as its encoder, by the metric's name.

        Raises:
            RunFailed: When the file cannot be written.
        """
        write_atomically(self.path / "protocols.json", PROTOCOLS.dump_json(protocols, indent=1))

    def protocols(self) -> Mapping[str, Mapping[str, str]]:
        """Return how each metric was measured; nothing when none was.

        Raises:
            BadInput: When `protocols.json` is malformed.
        """
        file = self.path / "protocols.json"
        return read_json(file, PROTOCOLS) if file.is_file() else {}

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures of samples."""
        return self.path / "pictures"

    @property
    def samples(self) -> Path:
        """The latest picture of samples."""
        return self.path / "samples.png"

    @property
    def report(self) -> Path:
        """The HTML report of the run."""
        return self.path / "report.html"

    @property
    def allowed_changes(self) -> Path:
        """The file with the config and data since a change of these was allowed, by `--allow-changes`."""
        return self.path / "allowed-changes.json"

    @property
    def scalars(self) -> Path:
        """The log of training scalars: JSON Lines, one line for each logged step."""
        return self.path / "scalars.jsonl"

    @property
    def metrics(self) -> Path:
        """The log of metrics: JSON Lines, one line for each evaluation."""
        return self.path / "metrics.jsonl"

    def quarantine(self, rank: int = 0) -> Path:
        """Return the path of the list of data files that a rank could not read: JSON Lines, one line for each file."""
        return self.path / (f"quarantine-{rank}.jsonl" if rank else "quarantine.jsonl")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files, folders and links in a folder, recursively, without following links.

    Raises:
        BadInput: When a folder cannot be listed.
    """
    waiting = [str(folder)]
    while waiting:
        listed = waiting.pop()
        try:
            with os.scandir(listed) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as problem:
            raise BadInput(f"this folder cannot be read: {problem.strerror}", place=listed) from None


def _rename_to_new(draft: Path, path: Path) -> None:
    """Rename a folder.

    Raises:
        FolderTaken: When the new path exists.
    """
    try:
        draft.rename(path)
    except OSError as problem:
        if problem.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _taken(path) from None
        raise


def _taken(path: Path) -> FolderTaken:
    if (path / "config.yaml").is_file():
        remedy = "Choose another --out, or add --resume to continue the run in it."
        return FolderTaken("this run folder exists already", place=str(path), remedy=remedy)
    what = "folder" if path.is_dir() else "path"
    remedy = "Choose another --out: a run makes its folder itself. There is no run in this one."
    return FolderTaken(f"this {what} exists already", place=str(path), remedy=remedy)


def default_folder(name: str) -> Path:
    """Return the path `runs/NAME-TIME/`, with a number added if that folder exists already."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name) or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / f"{safe}-{stamp}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in candidates if not path.exists())
