"""The script behind `make gpu`: what it would run can be run, and how it goes on where parts fail."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gpu() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_script", ROOT / "scripts" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_script"] = module
    spec.loader.exec_module(module)
    return module


def test_all_parts_are_listed_without_a_gpu(gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["tests", "kernels", "memcheck", "operations", "steps", "trainer"]
    assert gpu.main(["--list", "--only", "steps"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_all_parts_together_take_under_ten_minutes(gpu: Any) -> None:
    assert sum(part.seconds for part in gpu.PARTS) < 600
    for part in gpu.PARTS:
        (limit,) = [int(str(word).partition("=")[2]) for word in part.command if "timeout=" in str(word)] or [0]
        assert limit < part.seconds


def test_everything_is_written_into_one_folder(gpu: Any) -> None:
    for part in gpu.PARTS:
        files = [Path(word) for word in part.command if str(word).endswith((".json", ".xml"))]
        assert [file.parent for file in files] == [gpu.FOLDER]
    assert str(gpu.FOLDER) + "/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_commands_exist_and_take_these_arguments(gpu: Any) -> None:
    programs = {
        "tests": ["-m", "pytest"],
        "operations": ["-m", "ganframe_kernels.bench"],
        "trainer": ["tests/benchmarks/trainer_step.py"],
    }
    said = {name: _help(program) for name, program in programs.items()}
    for part in gpu.PARTS:
        words = [str(word).partition("=")[0] for word in part.command[part.command.index(gpu.PYTHON) :]]
        text = said[{"kernels": "tests", "memcheck": "tests", "steps": "operations"}.get(part.name, part.name)]
        assert [word for word in words if word.startswith("--") and word not in text] == []


def _help(program: list[str]) -> str:
    command = [sys.executable, *program, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def python(gpu: Any, name: str, code: str, seconds: int = 60, needs: str | None = None) -> Any:
    return gpu.Part(name, (sys.executable, "-c", code), seconds, needs)


def run(gpu: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, parts: Sequence[Any]) -> tuple[bool, list[str]]:
    monkeypatch.setattr(gpu, "FOLDER", folder / "results")
    done = gpu.run(parts)
    return done, (folder / "results" / "summary.txt").read_text().splitlines()


def test_a_part_that_fails_or_hangs_does_not_keep_the_next_from_running(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a part has started ends with it: this child would say so after the part is gone.
    mark = tmp_path / "child-went-on"
    code = f"import pathlib, time; time.sleep(4); pathlib.Path({str(mark)!r}).touch()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    parts = [
        python(gpu, "fails", "print('why'); raise SystemExit(3)"),
        python(gpu, "hangs", child, seconds=2),
        python(gpu, "absent", "raise SystemExit(4)", needs="no-such-program"),
        python(gpu, "works", "print('last')"),
    ]
    done, lines = run(gpu, tmp_path, monkeypatch, parts)
    assert not done
    for line, output in zip(
        lines, ["failed: exit code 3", "failed: stopped after 2 s", "left out: there is no no", "done"], strict=True
    ):
        assert output in line
    time.sleep(4)
    assert not mark.exists()
    assert (tmp_path / "results" / "fails.log").read_text() == "why\n"
    assert (tmp_path / "results" / "works.log").read_text() == "last\n"


def test_without_failures_all_is_well(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [python(gpu, "works", ""), python(gpu, "absent", "", needs="no-such-program")]
    assert run(gpu, tmp_path, monkeypatch, parts)[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_runs(gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    assert capsys.readouterr().err == "There is no CUDA device here.\n"
