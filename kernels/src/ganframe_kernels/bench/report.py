"""What a benchmark prints and writes."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch

from ganframe_kernels.bench.runner import Check, Row


def environment(device: torch.device) -> dict[str, str]:
    """What the times depend on: device, versions, date."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return {
        "device": name,
        "torch": torch.__version__,
        "triton": _version("triton"),
        "ganframe-kernels": _version("ganframe-kernels"),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each check."""
    if not checks:
        yield "Triton is not installed: nothing to check."
    for check in checks:
        yield f"{check.op:24} {check.case:20} {check.layout}  error {check.error:.1e}"


def row_lines(rows: Sequence[Row], ceiling: float) -> Iterator[str]:
    """Lines for the passes of a case: times, ratios, and the share of the copy ceiling.

    Args:
        rows: The passes.
        ceiling: Gigabytes a second of a copy.
    """
    for row in rows:
        yield f"{row.op}: {row.case}, {'x'.join(map(str, row.shape))}, {row.dtype}, {row.layout}, {row.what}"
        base = row.times["eager"].median
        for name, time in row.times.items():
            speed = row.gigabytes / time.median * 1e3
            yield (
                f"  {name:16} {time.median:9.3f} ms ({time.p20:.3f} to {time.p80:.3f})"
                f"  {base / time.median:5.2f} x eager  {speed:8,.1f} GB/s  {speed / ceiling:4.0%} of a copy"
            )


def write_json(
    file: Path, facts: Mapping[str, str], ceiling: float, rows: Sequence[Row], checks: Sequence[Check]
) -> None:
    """Write everything that was measured."""
    content = {
        "environment": dict(facts),
        "copy GB/s": round(ceiling, 1),
        "rows": [row.as_json() for row in rows],
        "checks": [vars(check) for check in checks],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
