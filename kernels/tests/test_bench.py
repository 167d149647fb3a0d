"""The benchmark: its cases run, its clock is fair, and it writes what it prints."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from ganframe_kernels.bench import __main__ as bench
from ganframe_kernels.bench.cases import CASES
from ganframe_kernels.bench.report import row_lines
from ganframe_kernels.bench.runner import Row, checked
from ganframe_kernels.bench.timing import Time, copies, interleaved


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.op} {case.name}")
def test_every_case_agrees_with_its_reference(case, layout):
    found = checked(case, layout)
    assert found is not None
    assert found.error < 1e-5


def test_times_are_taken_in_turn_and_after_the_warmup():
    called = []
    functions = {name: lambda number, name=name: called.append((name, number)) for name in ("one", "two")}
    times = interleaved(functions, torch.device("cpu"), repeats=4, warmup=2)
    assert called[:4] == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]
    assert called[4:] == [(name, number) for number in range(4) for name in ("one", "two")]
    assert all(time.p20 <= time.median <= time.p80 for time in times.values())


def test_the_clock_runs_while_a_function_does():
    slow, fast = (
        interleaved({"it": lambda _, wait=wait: time.sleep(wait)}, torch.device("cpu"), repeats=3, warmup=0)["it"]
        for wait in (0.05, 0.0)
    )
    assert slow.p20 >= 50 > fast.p20


def test_copies_keep_layout_and_gradients():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    ((copy, nothing),) = copies([x, None], torch.device("cpu"))
    assert nothing is None
    assert torch.equal(copy, x)
    assert copy.stride() == x.stride()
    assert copy.requires_grad
    assert copy.data_ptr() != x.data_ptr()


def test_speeds_are_those_of_the_fewest_bytes():
    times = {"eager": Time(2.0, 2.0, 2.0), "kernels": Time(0.5, 0.4, 0.6)}
    row = Row("op", "case", (2, 3), "float32", "NCHW", "forward", times, 1.0, {})
    _, eager, kernels = row_lines([row], ceiling=4000)
    assert "1.00 x eager" in eager
    assert "500.0 GB/s" in eager
    assert "4.00 x eager" in kernels
    assert "2,000.0 GB/s   50% of a copy" in kernels


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("GANFRAME_KERNELS", "auto")
    file = tmp_path / "results.json"
    arguments = ["--op", "patch_loss", "--dtype", "float32", "--repeats", "2", "--json", str(file)]
    assert bench.main(arguments) == 0
    said = capsys.readouterr().out
    assert "There is no GPU here" in said
    assert "patch_loss: bce" in said
    content = json.loads(file.read_text())
    assert {row["what"] for row in content["rows"]} == {"forward", "backward", "double backward"}
    assert len(content["checks"]) == 2
    assert content["environment"]["torch"] == torch.__version__
