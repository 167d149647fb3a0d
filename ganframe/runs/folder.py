"""A run: its folder, its config as resolved, and everything live that hooks may look at."""

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

from ganframe.config.experiment import Experiment
from ganframe.config.load import load_experiment
from ganframe.config.specs import DataSpec, TensorSpec
from ganframe.config.yaml import dump_yaml
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.files import read_json, write_atomically
from ganframe.runs.environment import ENVIRONMENT, Environment, environment, version_changes


def _possible(spec: TensorSpec) -> TensorSpec:
    if min(spec.shape, default=1) < 1 or (spec.classes is not None and spec.classes < 1):
        raise ValueError("sides and classes are at least 1")
    return spec


SPEC: TypeAdapter[dict[str, TensorSpec]] = TypeAdapter(dict[str, Annotated[TensorSpec, AfterValidator(_possible)]])


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, experiment: Experiment, data: DataSpec) -> RunFolder:
        """Make the folder of a new run, with the config as resolved and the environment: all of it or nothing.

        Args:
            path: The folder, which is not there yet.
            experiment: The config.
            data: The tensors of the data, without which nobody who has the run alone could build its networks.

        Raises:
            BadInput: When something stands there already, or no folder can be made there.
            RunFailed: When the disk is full.
        """
        if path.exists() or path.is_symlink():
            remedy = "Choose another --out, or add --resume to go on with the run that is there."
            raise BadInput("this run folder exists already", place=str(path), remedy=remedy)
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        shutil.rmtree(draft, ignore_errors=True)  # left by a kill of a process with the same number
        try:
            draft.mkdir(parents=True)
        except OSError as problem:
            message = f"the run folder cannot be made: {problem.strerror}"
            if problem.errno == errno.ENOSPC:
                raise RunFailed(f"{path}: {message}") from None
            raise BadInput(message, place=str(path), remedy="Choose another --out.") from None
        try:
            write_atomically(draft / "config.yaml", dump_yaml(experiment.dump()).encode())
            write_atomically(draft / "data.json", SPEC.dump_json(dict(data), indent=1))
            write_atomically(draft / "environment.json", json.dumps(environment(), indent=1).encode())
            with writing(path):
                draft.rename(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path)

    def adopt(self, experiment: Experiment, data: DataSpec) -> None:
        """Go on with this config; one that differs is kept as `config-before-N.yaml`."""
        if not self.experiment().differences(experiment):
            return
        number = len(list(self.path.glob("config-before-*.yaml"))) + 1
        write_atomically(self.path / f"config-before-{number}.yaml", (self.path / "config.yaml").read_bytes())
        write_atomically(self.path / "config.yaml", dump_yaml(experiment.dump()).encode())
        write_atomically(self.path / "data.json", SPEC.dump_json(dict(data), indent=1))

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of an existing run.

        Raises:
            BadInput: When there is no run, or it has links that lead out of it: a run may come from anybody, and its
                files are read, shown in reports and written over.
        """
        if not (path / "config.yaml").is_file():
            raise BadInput("there is no run in this folder (no config.yaml)", place=str(path))
        root = path.resolve()
        for each in sorted(path.rglob("*")):
            if each.is_symlink() and not Path(os.path.realpath(each)).is_relative_to(root):
                remedy = "Put what it leads to in its place, if you trust it."
                raise BadInput("this link leads out of the run folder", place=str(each), remedy=remedy)
            if not (each.is_file() or each.is_dir()):
                raise BadInput("this is neither a file nor a folder", place=str(each), remedy="Remove it.")
        return cls(path)

    def environment(self) -> Environment:
        """The versions with which the run was begun, or last resumed.

        Raises:
            BadInput: When they are not as a run writes them.
        """
        return read_json(self.path / "environment.json", ENVIRONMENT)

    def change_environment(self) -> list[str]:
        """Note the versions of now; those before are kept as `environment-before-N.json`.

        Returns:
            What differs: "torch 2.8.0 instead of 2.7.1".
        """
        before, now = self.environment(), environment()
        changes = version_changes(before, now)
        if changes:
            number = len(list(self.path.glob("environment-before-*.json"))) + 1
            write_atomically(self.path / f"environment-before-{number}.json", json.dumps(before, indent=1).encode())
            write_atomically(self.path / "environment.json", json.dumps(now, indent=1).encode())
        return changes

    def experiment(self) -> Experiment:
        """The config of the run.

        Raises:
            BadInput: When the config cannot be read.
        """
        return load_experiment(self.path / "config.yaml").experiment

    def data(self) -> DataSpec | None:
        """The tensors of the data that the run trains on; None where the run did not note them.

        Raises:
            BadInput: When they are not as a run writes them.
        """
        file = self.path / "data.json"
        return read_json(file, SPEC) if file.is_file() else None

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def pictures(self) -> Path:
        """Where the snapshots are."""
        return self.path / "pictures"

    @property
    def samples(self) -> Path:
        """The last picture."""
        return self.path / "samples.png"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def scalars(self) -> Path:
        """The log of training scalars, a line of JSON a step."""
        return self.path / "scalars.jsonl"

    @property
    def metrics(self) -> Path:
        """The log of metrics, a line of JSON a measurement."""
        return self.path / "metrics.jsonl"

    def quarantine(self, rank: int = 0) -> Path:
        """The files of the data that a rank could not read, a line of JSON each."""
        return self.path / (f"quarantine-{rank}.jsonl" if rank else "quarantine.jsonl")


def default_folder(name: str) -> Path:
    """`runs/NAME-TIME/`, which no other run has."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name) or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / f"{safe}-{stamp}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in candidates if not path.exists())
