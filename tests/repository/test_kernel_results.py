"""The page of kernel timings, from made-up results in a temporary folder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("kernel_results", ROOT / "scripts" / "kernel_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def times(**medians: float) -> dict[str, dict[str, float]]:
    return {
        name.replace("_", ", "): {"median": each, "p20": 0.9 * each, "p80": 1.25 * each}
        for name, each in medians.items()
    }


def result(**changes: Any) -> dict[str, Any]:
    row = {
        "op": "modulated_epilogue",
        "case": "with the next style",
        "shape": [32, 128, 128, 128],
        "dtype": "bfloat16",
        "layout": "NHWC",
        "what": "backward",
        "bound": "memory",
        "gigabytes": 0.4,
        "peak": {"kernels": 2**28, "compile": 2**29},
        "failures": {},
    }
    step = {"system": "StyleGAN2-256", "what": "plain", "batch": 16, "peak": {"kernels": 2**33}}
    return {
        "environment": {"device": "Made-up GPU", "torch": "2.13"},
        "copy GB/s": 1000.0,
        "rows": [
            row | {"times": times(eager=4, compile=2, compile_graphs=2.5, kernels=0.5)},
            row | {"dtype": "float32", "times": times(eager=1), "failures": {"kernels": "OutOfResources: registers"}},
        ],
        "steps": [step | {"times": times(compile=100, kernels=90), "failures": {"eager": "OutOfMemoryError"}}],
        "left out": ["adain: linear, float32, NCHW"],
        **changes,
    }


def written(script: Any, folder: Path, **results: dict[str, Any]) -> str:
    (folder / "results").mkdir()
    for name, each in results.items():
        (folder / "results" / f"{name}.json").write_text(json.dumps(each))
    script.write(folder / "results", folder / "docs" / "results.md")
    return (folder / "docs" / "results.md").read_text()


def test_a_page_states_targets_times_and_failures(script: Any, tmp_path: Path) -> None:
    text = written(script, tmp_path, gpu=result())
    assert script.NONE not in text
    assert "## Made-up GPU\n\ntorch 2.13; copy at 1,000 GB/s." in text
    # 0.4 GB in 0.5 ms are 800 GB/s, short of 85%; the other row failed.
    assert "| memory-bound operations: share of a copy | >= 0.85 | **not met** | 0 of 2 | 0.00 (" in text
    assert "share of the compiled one's time | <= 0.8 | **not met** | 0 of 1 | 0.90 (batch 16) |" in text
    assert "| double backwards: likewise | >= 1.8 | **not measured** |  |  |" in text
    assert "| 0.500 | 0.450 to 0.625 | 8.00 | 4.00 | 5.00 |  | 80% | 256 / 512 |" in text
    assert "OutOfResources: registers" in text
    assert "| StyleGAN2-256 | plain | 16 | kernels | 90.000 | 81.000 to 112.500 | 0.90 | 8.00 |" in text
    assert "| eager | OutOfMemoryError |" in text
    assert "Not timed, for want of time: adain: linear, float32, NCHW." in text


def test_every_picture_of_a_page_is_drawn(script: Any, tmp_path: Path) -> None:
    text = written(script, tmp_path, gpu=result(), other=result(steps=[]))
    for name in ("gpu", "gpu-steps", "other"):
        assert f"]({name}.png)" in text
        with Image.open(tmp_path / "docs" / f"{name}.png") as picture:
            assert picture.width > 300
            assert len(picture.convert("RGB").getcolors(2**20) or []) > 10
    assert "other-steps" not in text
    assert not (tmp_path / "docs" / "other-steps.png").exists()


def test_results_of_a_cpu_are_no_results_of_a_gpu(script: Any, tmp_path: Path) -> None:
    rows = [row | {"times": times(eager=4, compile=2)} for row in result()["rows"]]
    assert written(script, tmp_path, cpu=result(rows=rows, steps=[])) == script.page({})
    assert script.NONE in script.page({})
    assert not list(tmp_path.glob("docs/*.png"))


def test_columns_of_every_row_fit_their_head(script: Any) -> None:
    tables = [line for line in script.page({"gpu": result()}).splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in tables]
    heads = [index for index, line in enumerate(tables) if index + 1 < len(tables) and tables[index + 1][:5] == "| ---"]
    assert len(heads) == 3
    for start, end in zip(heads, [*heads[1:], len(tables)], strict=True):
        assert len(set(widths[start:end])) == 1, tables[start]
