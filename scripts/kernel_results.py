"""Writes the page of kernel timings, with a plot for each device, from the results that benchmarks left.

    python scripts/kernel_results.py [--check]

A result is a file of `python -m ganframe_kernels.bench --json kernels/benchmarks/results/NAME.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "kernels" / "benchmarks" / "results"
PAGE = ROOT / "docs" / "kernels" / "results.md"

HEAD = """\
# Measured speed

Everything on this page comes from the files in `kernels/benchmarks/results/`, one for each device and set of versions,
which `python -m ganframe_kernels.bench --json FILE` writes. *Eager* is the reference in plain PyTorch, *compile* the
reference under `torch.compile`, *graphs* that with CUDA graphs. *Of a copy* is the speed by the fewest bytes that the
pass must move, as a share of a plain copy on the same device in the same run.
"""

NONE = """\
**There is no result of a GPU yet**, so nothing on this page says how fast the kernels are.
"""


def results() -> dict[str, Any]:
    """The result files, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    gpus = {name: result for name, result in found.items() if _has_kernels(result)}
    parts = [HEAD, *([] if gpus else [NONE])]
    for name, result in gpus.items():
        facts = ", ".join(f"{key} {value}" for key, value in result["environment"].items() if key != "device")
        parts.append(f"## {result['environment']['device']}\n\n{facts}; copy at {result['copy GB/s']:,.0f} GB/s.\n")
        parts.append(f"![Speed-ups over eager PyTorch]({name}.png)\n")
        parts.append(_table(result["rows"]))
    return "\n".join(parts)


def _has_kernels(result: Mapping[str, Any]) -> bool:
    return any("kernels" in row["times"] for row in result["rows"])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = (
        "| Operation | Case | Type | Layout | Pass | ms | over eager | over compile | over graphs | of a copy |\n"
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
    )
    return head + "\n".join(map(_line, rows)) + "\n"


def _line(row: Mapping[str, Any]) -> str:
    times = {name: time["median"] for name, time in row["times"].items()}
    ours = times["kernels"]
    ratios = [f"{times[name] / ours:.2f}" if name in times else "" for name in ("eager", "compile", "compile, graphs")]
    cells = [row["op"], row["case"], row["dtype"], row["layout"], row["what"], f"{ours:.3f}", *ratios, row["share"]]
    return f"| {' | '.join(cells)} |"


def draw(result: Mapping[str, Any], picture: Path) -> None:
    """Bars: how many times faster than eager PyTorch each contender is, for each pass."""
    rows = result["rows"]
    figure = Figure(figsize=(9, 0.35 * len(rows) + 1), layout="constrained")
    axes = figure.add_subplot()
    names = ("compile", "compile, graphs", "kernels")
    for index, name in enumerate(names):
        places = [place + 0.25 * index for place, row in enumerate(rows) if name in row["times"]]
        lengths = [
            row["times"]["eager"]["median"] / row["times"][name]["median"] for row in rows if name in row["times"]
        ]
        axes.barh(places, lengths, height=0.25, label=name)
    labels = [f"{row['op']}: {row['case']}, {row['dtype']}, {row['layout']}, {row['what']}" for row in rows]
    axes.set_yticks([place + 0.25 for place in range(len(rows))], labels, fontsize=6)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xlabel("times as fast as eager PyTorch")
    axes.legend(fontsize=7)
    figure.savefig(picture, dpi=100, metadata={"Software": None})


def main() -> int:
    """Write the page, or say whether it is fresh."""
    found = results()
    for result in found.values():
        for row in result["rows"]:
            if "kernels" in row["times"]:
                speed = row["gigabytes"] / row["times"]["kernels"]["median"] * 1e3
                row["share"] = f"{speed / result['copy GB/s']:.0%}"
    text = page(found)
    if "--check" in sys.argv[1:]:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
        print(*(["stale: run scripts/kernel_results.py"] if stale else []))
        return int(stale)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    for name, result in found.items():
        if _has_kernels(result):
            draw(result, PAGE.parent / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
