"""The folder of a run: its config, the spec of its data, the versions of software, and the paths of its files."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from ganframe.arguments import as_path
from ganframe.config.experiment import Experiment
from ganframe.config.load import load_experiment
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.config.yaml import dump_yaml
from ganframe.data.summary import DataSummary
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.files import read_json, write_atomically
from ganframe.runs.environment import ENVIRONMENT, Environment, environment, version_changes


def _check_sizes(spec: TensorSpec) -> TensorSpec:
    if min(spec.shape, default=1) < 1 or (spec.classes is not None and spec.classes < 1):
        raise ValueError("sizes and classes must be at least 1")
    return spec


DATA_SPEC: TypeAdapter[dict[str, TensorSpec]] = TypeAdapter(
    dict[str, Annotated[TensorSpec, AfterValidator(_check_sizes)]]
)


DATA_SUMMARY: TypeAdapter[DataSummary] = TypeAdapter(DataSummary)


@dataclass(frozen=True)
class RunFolder:
    """The folder with the files of a run.

    Attributes:
        path: The path of the folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, experiment: Experiment, data: DataSpec) -> RunFolder:
        """Create the folder of a new run, with its config, data spec and environment; if that fails, no folder is left.

        Args:
            path: The folder, which must not exist.
            experiment: The config.
            data: The specs of the data's tensors, saved so that the networks can be built without the data.

        Raises:
            BadInput: When the path exists, or no folder can be created there.
            RunFailed: When a file cannot be written, such as on a full disk.
        """
        if path.exists() or path.is_symlink():
            remedy = "Choose another --out, or add --resume to continue the run in it."
            raise BadInput("this run folder exists already", place=str(path), remedy=remedy)
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        shutil.rmtree(draft, ignore_errors=True)  # left by a killed process with the same number
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
            with writing(path):
                draft.rename(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path)

    def adopt(self, experiment: Experiment, data: DataSpec) -> None:
        """Replace the saved config and data spec if this config differs from the saved one.

        The old config is kept as `config-before-N.yaml`.
        """
        if not self.experiment().differences(experiment):
            return
        number = len(list(self.path.glob("config-before-*.yaml"))) + 1
        write_atomically(self.path / f"config-before-{number}.yaml", (self.path / "config.yaml").read_bytes())
        write_atomically(self.path / "config.yaml", dump_yaml(experiment.dump()).encode())
        write_atomically(self.path / "data.json", DATA_SPEC.dump_json(dict(data), indent=1))

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the folder of an existing run.

        Raises:
            BadInput: When there is no run, or when the folder contains a link to the outside or anything that is
                neither file nor folder. A run may come from anybody, and its files are read, shown in reports and
                overwritten.
        """
        path = as_path("run", path)
        if not (path / "config.yaml").is_file():
            raise BadInput("there is no run in this folder (no config.yaml)", place=str(path))
        root = path.resolve()
        for entry in sorted(path.rglob("*")):
            if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(root):
                remedy = "Replace it by the file or folder it leads to, if you trust that."
                raise BadInput("this link leads out of the run folder", place=str(entry), remedy=remedy)
            if not (entry.is_file() or entry.is_dir()):
                raise BadInput("this is neither a file nor a folder", place=str(entry), remedy="Remove it.")
        return cls(path)

    def environment(self) -> Environment:
        """Return the versions of software with which the run was started or last resumed.

        Raises:
            BadInput: When `environment.json` is missing or malformed.
        """
        return read_json(self.path / "environment.json", ENVIRONMENT)

    def change_environment(self) -> list[str]:
        """Save the present versions of software if they differ from the saved ones.

        The old ones are then kept as `environment-before-N.json`.

        Returns:
            The differences, such as "torch 2.8.0 instead of 2.7.1".
        """
        before, now = self.environment(), environment()
        changes = version_changes(before, now)
        if changes:
            number = len(list(self.path.glob("environment-before-*.json"))) + 1
            write_atomically(self.path / f"environment-before-{number}.json", json.dumps(before, indent=1).encode())
            write_atomically(self.path / "environment.json", json.dumps(now, indent=1).encode())
        return changes

    def experiment(self) -> Experiment:
        """Return the config of the run.

        Raises:
            BadInput: When the config cannot be read.
        """
        return load_experiment(self.path / "config.yaml").experiment

    def data(self) -> DataSpec | None:
        """Return the specs of the tensors of the training data; None when the run has not saved them.

        Raises:
            BadInput: When `data.json` is malformed.
        """
        file = self.path / "data.json"
        if not file.is_file():
            return None
        try:
            return read_json(file, DATA_SPEC)
        except BadInput as problem:
            raise BadInput(problem.message, place=str(file)) from None  # that of a spec has no place

    def save_data_summary(self, summary: DataSummary) -> None:
        """Save what there is in the training data, for the report.

        Raises:
            RunFailed: When the file cannot be written.
        """
        write_atomically(self.path / "data-summary.json", DATA_SUMMARY.dump_json(summary, indent=1))

    def data_summary(self) -> DataSummary | None:
        """Return what there is in the training data; None when the run has not saved it.

        Raises:
            BadInput: When `data-summary.json` is malformed.
        """
        file = self.path / "data-summary.json"
        return read_json(file, DATA_SUMMARY) if file.is_file() else None

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def pictures(self) -> Path:
        """The folder of snapshots."""
        return self.path / "pictures"

    @property
    def samples(self) -> Path:
        """The latest snapshot, as a picture."""
        return self.path / "samples.png"

    @property
    def report(self) -> Path:
        """The report of the run, in HTML."""
        return self.path / "report.html"

    @property
    def scalars(self) -> Path:
        """The log of training scalars, one line of JSON for each step that is logged."""
        return self.path / "scalars.jsonl"

    @property
    def metrics(self) -> Path:
        """The log of metrics, one line of JSON per evaluation."""
        return self.path / "metrics.jsonl"

    def quarantine(self, rank: int = 0) -> Path:
        """Return the path of the list of data files that one rank could not read: JSON Lines, one line a file."""
        return self.path / (f"quarantine-{rank}.jsonl" if rank else "quarantine.jsonl")


def default_folder(name: str) -> Path:
    """Return the path `runs/NAME-TIME/`, with a number added if that folder exists already."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name) or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / f"{safe}-{stamp}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in candidates if not path.exists())
