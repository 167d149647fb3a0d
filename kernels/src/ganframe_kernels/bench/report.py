"""The printed and written results of a benchmark."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ganframe_kernels.bench.runner import Check, Row, StepRow
from ganframe_kernels.bench.timing import Time


@dataclass
class Result:
    """All results of a benchmark.

    Attributes:
        environment: Device, versions and date.
        ceiling: Speed of a copy, in GB/s.
        rows: Passes of operations.
        steps: Whole steps.
        checks: Comparisons of kernels with references, where there is no GPU.
        left_out: Cases that were skipped for lack of time.
    """

    environment: Mapping[str, str]
    ceiling: float
    rows: list[Row] = field(default_factory=list[Row])
    steps: list[StepRow] = field(default_factory=list[StepRow])
    checks: list[Check] = field(default_factory=list[Check])
    left_out: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "environment": dict(self.environment),
            "copy GB/s": round(self.ceiling, 1),
            "rows": [row.as_json() for row in self.rows],
            "steps": [row.as_json() for row in self.steps],
            "checks": [vars(check) for check in self.checks],
            "left out": self.left_out,
        }

    def write(self, file: Path) -> None:
        """Write the result, replacing the file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")


def environment(device: torch.device) -> dict[str, str]:
    """Return what the times depend on: device, versions, date."""
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
    """Yield a line for each check."""
    if not checks:
        yield "Triton is not installed: nothing to check."
    for check in checks:
        yield f"{check.op:24} {check.case:28} {check.layout}  error {check.error:.1e}"


def row_lines(rows: Sequence[Row], ceiling: float) -> Iterator[str]:
    """Yield lines for the passes of a case: times, ratios, and the share of the speed of a copy.

    Args:
        rows: The passes.
        ceiling: Speed of a copy, in GB/s.
    """
    for row in rows:
        yield f"{row.op}: {row.case}, {'x'.join(map(str, row.shape))}, {row.dtype}, {row.layout}, {row.what}"
        for name, time in row.times.items():
            speed = row.gigabytes / time.median * 1e3
            yield f"{_time(name, time, row.times)}  {speed:8,.1f} GB/s  {speed / ceiling:4.0%} of a copy"
        yield from _rest(row)


def step_lines(rows: Sequence[StepRow]) -> Iterator[str]:
    """Yield lines for whole steps: times and ratios."""
    for row in rows:
        yield f"{row.system}: {row.what}, batch {row.batch}"
        yield from (_time(name, time, row.times) for name, time in row.times.items())
        yield from _rest(row)


def _time(name: str, time: Time, times: Mapping[str, Time]) -> str:
    ratio = f"{times['eager'].median / time.median:5.2f} x eager" if "eager" in times else ""
    return f"  {name:16} {time.median:9.3f} ms ({time.p20:.3f} to {time.p80:.3f})  {ratio:13}"


def _rest(row: Row | StepRow) -> Iterator[str]:
    if row.peak:
        yield "  memory: " + ", ".join(f"{name} {most / 2**20:,.0f} MiB" for name, most in row.peak.items())
    yield from (f"  {name:16} failed: {reason}" for name, reason in row.failures.items())
