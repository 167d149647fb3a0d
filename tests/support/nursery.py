"""Forks a child for each run, which is `ganframe` but that it begins in milliseconds: everything is imported already.

The child stops, or hurts itself, at a place that it is told, and says in shared memory where it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import mmap
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import growing_pair
import torch
from torch import Tensor, nn

from ganframe import hookimpl
from ganframe.config.network_transforms import GeneratorTransform
from ganframe.game.round import Round
from ganframe.plugins.discovery import installed
from ganframe.training.run_state import Run


@dataclass(frozen=True)
class Job:
    """The work of a child, and where something happens to it.

    Attributes:
        arguments: Those of `ganframe`.
        seen: Where to write which data each step saw, a line a step.
        place: Where it happens, as `Places` calls it; nowhere when empty.
        number: At which time, counted from 1, that the child comes to the place.
        what: What happens: `hold` stops it there for good; `signal N` sends it that signal; `error N` fails the write
            with that error number, and every one after it; `vanish` removes the run folder, that of `--out`.
    """

    arguments: tuple[str, ...]
    seen: str = ""
    place: str = ""
    number: int = 0
    what: str = ""


class FadingIn(GeneratorTransform):
    """Blends from coarse to fine images, as progressive growing does within a resolution."""

    type: Literal["fading-in"] = "fading-in"

    def change(self, network: nn.Module, **_: object) -> nn.Module:
        return Fading(network)


class Fading(nn.Module):
    """The network, of which a hook sets how fine its images are; that is no tensor, so the hook saves it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.latent_shape, self.fineness = network, network.latent_shape, 0.0

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images."""
        fine = self.network(*inputs)
        coarse = nn.functional.interpolate(nn.functional.avg_pool2d(fine, 2), scale_factor=2)
        return torch.lerp(coarse, fine, self.fineness)

    @hookimpl
    def on_step_end(self, run: Run, scalars: Mapping[str, float]) -> None:
        """Get finer the faster the better the generator does."""
        self._set(run, min(1.0, self.fineness + 0.1 / (1 + scalars["generator/least-squares"])))

    @hookimpl
    def on_checkpoint_save(self, state: dict[str, object]) -> None:
        """Save how fine."""
        state["fading-in"] = self.fineness

    @hookimpl
    def on_checkpoint_load(self, run: Run, state: Mapping[str, float]) -> None:
        """Take it back."""
        self._set(run, state["fading-in"])

    def _set(self, run: Run, fineness: float) -> None:
        self.fineness = fineness
        assert run.averages is not None
        run.averages.players["generator"].fineness = fineness


class Witness:
    """Writes down which data each step saw."""

    def __init__(self, status: memoryview, seen: str) -> None:
        self._status = status
        self._seen = os.open(seen, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if seen else None
        self._digests: list[str] = []

    @hookimpl
    def on_turn_end(self, rounds: list[Round]) -> None:
        """Note the batches of a turn."""
        if self._seen is not None:
            parts = [
                game_round._batch[name].numpy().tobytes() for game_round in rounds for name in sorted(game_round._batch)
            ]
            self._digests.append(hashlib.sha256(b"".join(parts)).hexdigest()[:16])

    @hookimpl
    def on_step_end(self, step: int) -> None:
        """Write them down."""
        self._status[0] += 1
        if self._seen is not None:
            os.write(self._seen, (json.dumps({"step": step, "data": self._digests}) + "\n").encode())
            self._digests = []


class Places:
    """Where something happens to a child.

    Args:
        job: What happens, and where.
        status: What the child says of itself.
    """

    def __init__(self, job: Job, status: memoryview) -> None:
        self._job, self._status, self._broken = job, status, False

    def prepare(self) -> None:
        """Make the places known to the program."""
        from ganframe_gaussians import coverage

        from ganframe import files
        from ganframe.evaluation import callbacks, report
        from ganframe.runs import checkpoint_files, logs
        from ganframe.training import save_and_restore, start_or_resume

        save, write, rename, come = checkpoint_files.save, checkpoint_files.write_synced, Path.rename, self.come

        def saving(*given: Any, **named: Any) -> Path:
            self._status[1] = 1
            self.come("save")
            path = save(*given, **named)
            self._status[1] = 0
            return path

        def writing(path: Path, content: bytes) -> None:
            write(path, content[: len(content) // 2])
            self.come("write")
            write(path, content)

        def renaming(path: Path, target: Path) -> Path:
            self.come("rename")
            moved = rename(path, target)
            self.come("renamed")
            return moved

        class File(FileIO):
            halfway = False

            def write(self, line: memoryview) -> int:
                self.halfway = not self.halfway
                done = FileIO.write(self, line[: len(line) // 2] if self.halfway else line)
                come("log")
                return done

        files.write_synced = checkpoint_files.write_synced = writing
        Path.rename = renaming
        self._wrap(checkpoint_files, "remove", "remove")
        self._wrap(start_or_resume, "assemble", "start")
        self._wrap(start_or_resume, "restore", "restore")
        self._wrap(callbacks, "draw", "snapshot")
        self._wrap(coverage.Coverage, "update", "evaluation")
        save_and_restore.save, logs.FileIO = saving, File
        report._curves = lambda _log: ""  # takes longer than all the rest of such a run

    def _wrap(self, owner: Any, name: str, place: str) -> None:
        original = getattr(owner, name)

        def wrapped(*given: Any, **named: Any) -> Any:
            self.come(place)
            return original(*given, **named)

        setattr(owner, name, wrapped)

    def come(self, place: str) -> None:
        """Be at a place."""
        if self._job.place != place and not (self._job.place == "any write" and place in ("write", "log")):
            return
        self._status[3] += 1
        what, _, number = self._job.what.partition(" ")
        if what == "error" and self._status[3] >= self._job.number:
            raise OSError(int(number), os.strerror(int(number)))
        if self._status[3] != self._job.number:
            return
        if what == "hold":
            self._status[2] = 1
            while True:
                time.sleep(1)
        if what == "signal":
            os.kill(os.getpid(), int(number))
        if what == "vanish":
            shutil.rmtree(self._job.arguments[self._job.arguments.index("--out") + 1])


def _do(job: Job, status: memoryview, folder: Path) -> int:
    from ganframe.cli import main as cli

    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    installed().manager.register(Witness(status, job.seen), "witness")
    Places(job, status).prepare()
    sys.argv = ["ganframe", *job.arguments]
    cli.installed = lambda: status.__setitem__(5, 1) or installed()  # the first that `main` does
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _import_what_it_had(names: Path) -> None:
    """Children take longer to import than to run, so each leaves its modules to those after it."""
    for name in names.read_text().splitlines() if names.is_file() else ():
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _serve(folder: Path) -> None:
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401

    installed().registry.add(FadingIn, "ganframe")
    growing_pair.register()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup
    file = (folder / "status").open("r+b")
    status = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
    for line in sys.stdin:
        job = Job(**json.loads(line))
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = _do(job, status, folder)
            finally:
                (folder / "modules").write_text("\n".join(sys.modules))
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        status[4] = 1
        _import_what_it_had(folder / "modules")
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
