"""Forks a child for each command, in which everything is imported and whose memory and time are limited.

As a program it is told the commands on stdin, one JSON list of arguments a line, and answers with a JSON object a line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MEMORY = 500 * 2**20
"""Bytes of address space that a command may take above what it starts with."""
SECONDS = 10
"""Seconds of one processor that a command may take."""
PATIENCE = 120
"""Seconds on the clock after which a command hangs; a machine may be busy with other things."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
        out: What it printed.
        err: What it printed on stderr.
        seconds: The time of the processor that it took.
        memory: The address space that it took at most above what it started with, in MiB.
    """

    code: int
    out: str
    err: str
    seconds: float
    memory: float


class Sandbox:
    """Runs commands of `ganframe`, each in a fork of one process.

    Args:
        folder: A folder for what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # With one arena, the address space grows with what is allocated, and not with threads.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *arguments: object) -> Ended:
        """Run a command to its end."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps([str(each) for each in arguments]) + "\n")
        self._server.stdin.flush()
        said = json.loads(self._server.stdout.readline())
        out, err = ((self._folder / name).read_text(errors="replace") for name in ("out", "err"))
        return Ended(out=out, err=err, **said)

    def close(self) -> None:
        """End the process."""
        self._server.communicate()  # closes its stdin, at which it ends


def _address_space(name: str) -> int:
    """Bytes of address space of this process: `VmSize` now, or `VmPeak` at most so far."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _do(arguments: list[str], folder: Path) -> int:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    start = _address_space("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (start + MEMORY, start + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(PATIENCE)
    code = 0
    sys.argv = ["ganframe", *arguments]
    try:
        from ganframe.cli.main import main

        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        (folder / "modules").write_text("\n".join(sys.modules))
        (folder / "memory").write_text(str((_address_space("VmPeak") - start) / 2**20))
    return code


def _import_what_it_had(names: Path) -> None:
    """Children take longer to import than to run, so each leaves its modules to those after it."""
    for name in names.read_text().splitlines() if names.is_file() else ():
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _serve(folder: Path) -> None:
    import torch

    import ganframe.api
    import ganframe.evaluation.export
    import ganframe.evaluation.interpolation
    import ganframe.evaluation.metrics
    import ganframe.evaluation.report
    import ganframe.training.explain  # noqa: F401
    from ganframe.plugins.discovery import installed

    torch.set_num_threads(1)
    assert installed().plugins
    for line in sys.stdin:
        (folder / "memory").write_text("0")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _do(json.loads(line), folder)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, ended, usage = os.wait4(child, 0)
        _import_what_it_had(folder / "modules")
        said = {
            "code": os.waitstatus_to_exitcode(ended),
            "seconds": usage.ru_utime + usage.ru_stime,
            "memory": float((folder / "memory").read_text()),
        }
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
