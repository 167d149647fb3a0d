"""Apply each small wrong change listed under `tests/mutants/` and print those that no test notices.

A list is a TOML file for one module: the `file` that is changed, the `tests` nearest to it, and a `[[mutant]]` table
for each change with `change` (what goes wrong, in a few words), `before` and `after` (the source text). Each change is
made in a copy of the package, never in the working tree.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Imported once, before each mutant forks: they take longer than most tests.
import matplotlib.figure  # noqa: F401
import pydantic  # noqa: F401
import pytest
import rich.progress  # noqa: F401
import ruamel.yaml  # noqa: F401
import safetensors.torch  # noqa: F401
import torch
import torch._dynamo
import torch.distributed
import typer.testing  # noqa: F401

ROOT = Path(__file__).parent.parent
LISTS = ROOT / "tests" / "mutants"
TIMEOUT_SECONDS = 300

OUTCOMES: dict[int, str] = {
    pytest.ExitCode.OK: "LIVES",
    pytest.ExitCode.TESTS_FAILED: "noticed",
    pytest.ExitCode.INTERRUPTED: "noticed",  # the changed module cannot be imported
    -signal.SIGALRM: "TIMES OUT",
}


@dataclass(frozen=True)
class Mutant:
    """One wrong change.

    Attributes:
        file: The changed file, relative to the root of the repository.
        change: What goes wrong.
        before: The source text that is replaced; it stands in the file exactly once.
        after: The wrong text.
        tests: The test files to run.
    """

    file: str
    change: str
    before: str
    after: str
    tests: tuple[str, ...]

    def source(self) -> str:
        """Return the changed source of the file.

        Raises:
            SystemExit: When `before` does not stand in the file exactly once.
        """
        text = (ROOT / self.file).read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            sys.exit(f"{self.file}: {self.change}: `before` stands there {text.count(self.before)} times, not once")
        return text.replace(self.before, self.after)


def read_mutants(only: str) -> Iterator[Mutant]:
    """Yield the mutants of every list, or of those whose name has `only` in it."""
    for path in sorted(LISTS.glob("*.toml")):
        if only in path.stem:
            listed = tomllib.loads(path.read_text(encoding="utf-8"))
            for each in listed["mutant"]:
                tests = tuple(each.get("tests", listed["tests"]))
                file = each.get("file", listed["file"])
                yield Mutant(file, each["change"], each["before"], each["after"], tests)


def outcome(mutant: Mutant) -> str:
    """Make the change and run its tests.

    Returns:
        "noticed" when a test fails, "LIVES" when all pass, "TIMES OUT" when neither is known in time.

    Raises:
        RuntimeError: When pytest can run no test.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        _copy_changed_package(mutant, Path(folder))
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(_run_tests(mutant, folder))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in OUTCOMES:
            output.seek(0)
            raise RuntimeError(f"{mutant.file}: {mutant.change}: pytest ended with {code}\n{output.read()}")
    return OUTCOMES[code]


def _copy_changed_package(mutant: Mutant, folder: Path) -> None:
    parts = Path(mutant.file).parts
    start = parts.index("src") + 1 if "src" in parts else 0
    package = Path(*parts[: start + 1])
    shutil.copytree(ROOT / package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    folder.joinpath(*parts[start:]).write_text(mutant.source(), encoding="utf-8")


def _run_tests(mutant: Mutant, folder: str) -> int:
    """Run the tests of a mutant in this process and the processes that they start, over the changed copy."""
    signal.alarm(TIMEOUT_SECONDS)
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = folder
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", *mutant.tests])


def main() -> None:
    """Run the mutants; exit with 1 when more than a twentieth of them live."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="part of a list's name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants tried at once")
    arguments = parser.parse_args()
    mutants = list(read_mutants(arguments.only))
    for each in mutants:
        each.source()
    os.chdir(ROOT)
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True
    alive = 0
    # Not multiprocessing.Pool: its workers are daemons, whose tests could start no loader workers.
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("fork")) as pool:
        for mutant, found in zip(mutants, pool.map(outcome, mutants), strict=True):
            if found != "noticed":
                alive += 1
                print(f"{found:10}{mutant.file}: {mutant.change}", flush=True)
    print(f"{len(mutants)} mutants, {alive} live")
    sys.exit(alive * 20 > len(mutants))


if __name__ == "__main__":
    main()
