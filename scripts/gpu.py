"""Proves and measures everything that needs a CUDA device, in under ten minutes; all results go to gpu-results/.

    python scripts/gpu.py [--list] [--only PART ...]

One part after the other, each within its limit. A part that fails, or that has to be stopped, does not keep the next
from running; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("gpu-results")
PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class Part:
    """One command.

    Attributes:
        name: How it is chosen and reported, and the name of its log.
        command: What is run, from the root of the repository.
        seconds: After which it is stopped.
        needs: A program without which it is left out.
    """

    name: str
    command: Sequence[str | Path]
    seconds: int
    needs: str | None = None

    def __str__(self) -> str:
        return shlex.join(map(str, self.command))


def _pytest(name: str, seconds: int, *arguments: str) -> tuple[str | Path, ...]:
    """Tests, which end in time to write their report."""
    report = FOLDER / f"{name}.xml"
    return PYTHON, "-m", "pytest", *arguments, f"--session-timeout={seconds}", "--junit-xml", report


PARTS = (
    Part("tests", _pytest("tests", 50, "-m", "gpu"), 60),
    # What is compiled ahead needs no GPU, and takes long.
    Part("kernels", _pytest("kernels", 120, "kernels", "-k", "not compiles_ahead"), 135),
    Part(
        "memcheck",
        (
            *("compute-sanitizer", "--tool", "memcheck", "--target-processes", "all", "--error-exitcode", "1"),
            *_pytest("memcheck", 50, "kernels/tests", "-k", "bfloat16 and not compiles_ahead"),
        ),
        60,
        needs="compute-sanitizer",
    ),
    Part(
        "operations",
        (
            *(PYTHON, "-m", "ganframe_kernels.bench", "--no-steps", "--dtype", "bfloat16", "--repeats", "50"),
            *("--minutes", "2", "--json", FOLDER / "operations.json"),
        ),
        135,
    ),
    Part(
        "steps",
        (PYTHON, "-m", "ganframe_kernels.bench", "--no-operations", "--json", FOLDER / "steps.json"),
        135,
    ),
    Part(
        "trainer",
        (
            *(PYTHON, "tests/benchmarks/trainer_step.py", "--device", "cuda", "--blocks", "20"),
            *("--json", FOLDER / "trainer_step.json"),
        ),
        60,
    ),
)
"""Limits add up to less than ten minutes."""


def run(parts: Sequence[Part]) -> bool:
    """Run parts, say how each went, and keep what each prints in its log.

    Returns:
        Whether none failed.
    """
    FOLDER.mkdir(exist_ok=True)
    verdicts: dict[str, str] = {}
    for part in parts:
        print(f"\n== {part.name}: {part}", flush=True)
        began = time.monotonic()
        verdicts[part.name] = f"{_verdict(part)} ({time.monotonic() - began:.0f} s)"
    summary = "\n".join(f"{name:12} {verdict}" for name, verdict in verdicts.items())
    (FOLDER / "summary.txt").write_text(summary + "\n", encoding="utf-8")
    print(f"\n{summary}\nEverything is in {FOLDER}/.")
    return not any(verdict.startswith("failed") for verdict in verdicts.values())


def _verdict(part: Part) -> str:
    if part.needs and not shutil.which(part.needs):
        return f"left out: there is no {part.needs}"
    file = FOLDER / f"{part.name}.log"
    with file.open("wb") as log:
        # A group of its own, so that what it has started is stopped with it.
        process = subprocess.Popen(part.command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(part.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    print(file.read_text(encoding="utf-8", errors="replace"))
    if code is None:
        return f"failed: stopped after {part.seconds} s"
    return "done" if code == 0 else f"failed: exit code {code}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="only say what would run")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="only these parts")
    options = parser.parse_args(arguments)
    parts = [part for part in PARTS if not options.only or part.name in options.only]
    if options.list:
        print(*(f"{part.name:12} at most {part.seconds:3} s  {part}" for part in parts), sep="\n")
        return 0
    import torch

    if not torch.cuda.is_available():
        print("There is no CUDA device here.", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    return 0 if run(parts) else 1


if __name__ == "__main__":
    sys.exit(main())
