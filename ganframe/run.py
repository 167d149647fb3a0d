"""A run: its folder, its config as resolved, and everything live that hooks may look at."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from ganframe.checkpoint import write_whole
from ganframe.errors import BadInput, RunFailed, writing
from ganframe.experiment import Experiment
from ganframe.plugins import installed
from ganframe.yamlio import dump_yaml, load_experiment

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganframe.assembly import Assembly
    from ganframe.ema import Averages
    from ganframe.game import Game
    from ganframe.protocols import Optimizer


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, experiment: Experiment) -> RunFolder:
        """Make the folder of a new run, with the config as resolved and the environment: all of it or nothing.

        Raises:
            BadInput: When something stands there already, or no folder can be made there.
            RunFailed: When the disk is full.
        """
        if path.exists():
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
            write_whole(draft / "config.yaml", dump_yaml(experiment.dump()).encode())
            write_whole(draft / "environment.json", json.dumps(environment(), indent=1).encode())
            with writing(path):
                draft.rename(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls(path)

    def adopt(self, experiment: Experiment) -> None:
        """Go on with this config; one that differs is kept as `config-before-N.yaml`."""
        if not self.experiment().differences(experiment):
            return
        number = len(list(self.path.glob("config-before-*.yaml"))) + 1
        write_whole(self.path / f"config-before-{number}.yaml", (self.path / "config.yaml").read_bytes())
        write_whole(self.path / "config.yaml", dump_yaml(experiment.dump()).encode())

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of an existing run.

        Raises:
            BadInput: When there is no run.
        """
        if not (path / "config.yaml").is_file():
            raise BadInput("there is no run in this folder (no config.yaml)", place=str(path))
        return cls(path)

    def experiment(self) -> Experiment:
        """The config of the run.

        Raises:
            BadInput: When the config cannot be read.
        """
        return load_experiment(self.path / "config.yaml").experiment

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


def default_folder(name: str) -> Path:
    """`runs/NAME-TIME/`, which no other run has."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name) or "run"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("runs") / f"{safe}-{stamp}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in candidates if not path.exists())


def environment() -> dict[str, Any]:
    """Versions of everything that a run's numbers may depend on."""
    libraries = ("torch", "numpy", "pydantic", "safetensors")
    return {
        "ganframe": metadata.version("ganframe"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in libraries},
        "plugins": {plugin.package: plugin.version for plugin in installed().plugins if plugin.version},
    }


@dataclass
class Run:
    """A run as hooks see it.

    Attributes:
        experiment: The config.
        folder: The files of the run.
        assembly: The game, its players and the objective.
        optimizers: The optimizer of each turn, by the turn's name.
        averages: The averaged players; None where nothing is averaged.
        hooks: The plugins and loggers of this run.
        step: Steps done.
        images: Real examples seen.
        resumed: Whether the run goes on from a checkpoint.
        looked: Whether what is due at this step was drawn and measured.
        reported: What hooks have reported of this step.
        rollbacks: How often the run went back to a checkpoint after numbers that were not finite.
    """

    experiment: Experiment
    folder: RunFolder
    assembly: Assembly
    optimizers: dict[str, Optimizer]
    averages: Averages | None
    hooks: pluggy.PluginManager
    step: int = 0
    images: int = 0
    resumed: bool = False
    looked: bool = True
    rollbacks: int = 0
    reported: dict[str, Tensor] = field(default_factory=dict[str, "Tensor"])

    def report(self, name: str, value: Tensor) -> None:
        """Let a scalar join those of this step, which loggers are told of; for `on_turn_end`.

        Args:
            name: Who it is of and what it is: `ada/p`.
            value: One number. It is read together with all others, so that a GPU is waited for but once.
        """
        self.reported[name] = value.detach()

    @property
    def game(self) -> Game:
        """The game, with the players that train."""
        return self.assembly.game

    @property
    def device(self) -> torch.device:
        """Where the players are."""
        return self.assembly.device

    def sampling_game(self) -> Game:
        """The game with averaged players, where there are any."""
        return self.game.with_players(self.averages.players if self.averages else {})
