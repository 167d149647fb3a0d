"""Writes the page of kernel timings, with plots for each device, from the results that benchmarks left.

    python scripts/kernel_results.py [--check]

A result is a file of `python -m ganframe_kernels.bench --json kernels/benchmarks/results/NAME.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganframe_kernels.bench.targets import place, share, targets
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "kernels" / "benchmarks" / "results"
PAGE = ROOT / "docs" / "kernels" / "results.md"

HEAD = """\
# Measured speed

Everything on this page comes from the files in `kernels/benchmarks/results/`, one for each device and set of versions,
which `python -m ganframe_kernels.bench --json FILE` writes. *Eager* is the reference in plain PyTorch, *compile* the
reference under `torch.compile`, *graphs* that with CUDA graphs. Times are medians, with the 20th and 80th percentile.
*Of a copy* is the speed by the fewest bytes that the pass must move, as a share of a plain copy on the same device in
the same run. Networks of whole steps are those of the papers, with synthetic images, channels_last and bfloat16.

## Targets

On a GPU, the kernels are to reach:

- memory-bound operations: at least 85% of the speed of a copy;
- against `torch.compile`: no operation slower; the backward of the modulated epilogue 2.5 times as fast, double
  backwards 1.8 times, blur with downsampling twice;
- a step of both players of StyleGAN2-256: at most 0.8 of the time of the compiled one.
"""

NONE = """\
**There is no result of a GPU yet**, so nothing on this page says how fast the kernels are, and whether a target is met.
"""


def results(folder: Path) -> dict[str, Any]:
    """The result files, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    gpus = {name: result for name, result in found.items() if _has_kernels(result)}
    parts = [HEAD, *([] if gpus else [NONE])]
    for name, result in gpus.items():
        facts = ", ".join(f"{key} {value}" for key, value in result["environment"].items() if key != "device")
        parts.append(f"## {result['environment']['device']}\n\n{facts}; copy at {result['copy GB/s']:,.0f} GB/s.\n")
        parts.append(_targets(result))
        if result["steps"]:
            parts += [f"![Times of whole steps]({name}-steps.png)\n", _steps(result["steps"])]
        if result["rows"]:
            parts += [f"![Speed-ups over eager PyTorch]({name}.png)\n", _operations(result)]
        if result["left out"]:
            parts.append(f"Not timed, for want of time: {'; '.join(result['left out'])}.\n")
    return "\n".join(parts)


def _has_kernels(result: Mapping[str, Any]) -> bool:
    return any("kernels" in row["times"] for row in (*result["rows"], *result["steps"]))


def _table(head: str, align: str, rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([head, align, *(f"| {' | '.join(cells)} |" for cells in rows)]) + "\n"


def _targets(result: Mapping[str, Any]) -> str:
    rows: list[Sequence[str]] = []
    for target in targets(result):
        where, value = target.worst or ("", None)
        count = f"{target.reached} of {len(target.values)}" if target.values else ""
        bound = f"{'<=' if target.at_most else '>='} {target.bound}"
        worst = "" if value is None else f"{value:.2f} ({where})"
        rows.append((target.name, bound, f"**{target.verdict}**", count, worst))
    return _table("| Target | | Verdict | Where met | Worst |", "| --- | --- | --- | --- | --- |", rows)


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    rows: list[Sequence[str]] = []
    for step in steps:
        for name, time in step["times"].items():
            over = f"{time['median'] / step['times']['compile']['median']:.2f}" if "compile" in step["times"] else ""
            memory = f"{step['peak'][name] / 2**30:.2f}" if name in step["peak"] else ""
            rows.append((step["system"], step["what"], str(step["batch"]), name, *_time(time), over, memory))
        rows += [
            (step["system"], step["what"], str(step["batch"]), name, reason, "", "", "")
            for name, reason in step["failures"].items()
        ]
    return _table(
        "| System | Step | Batch | Contender | ms | p20 to p80 | of compile's time | peak GiB |",
        "| --- | --- | ---: | --- | ---: | --- | ---: | ---: |",
        rows,
    )


def _time(time: Mapping[str, float]) -> tuple[str, str]:
    return f"{time['median']:.3f}", f"{time['p20']:.3f} to {time['p80']:.3f}"


def _operations(result: Mapping[str, Any]) -> str:
    rows: list[Sequence[str]] = []
    others = ("eager", "compile", "compile, graphs", "nvidia")
    for row in result["rows"]:
        what = [row["op"], row["case"], row["dtype"], row["layout"], row["what"]]
        times = {name: time["median"] for name, time in row["times"].items()}
        if "kernels" not in times:
            rows.append([*what, row["failures"].get("kernels", ""), *[""] * 7])
            continue
        ratios = [f"{times[name] / times['kernels']:.2f}" if name in times else "" for name in others]
        memory = [f"{row['peak'][name] / 2**20:,.0f}" if name in row["peak"] else "" for name in ("kernels", "compile")]
        of_copy = f"{share(row, result['copy GB/s']):.0%}" if row["bound"] == "memory" else row["bound"]
        rows.append([*what, *_time(row["times"]["kernels"]), *ratios, of_copy, " / ".join(filter(None, memory))])
    return _table(
        "| Operation | Case | Type | Layout | Pass | ms | p20 to p80 | over eager | over compile | over graphs "
        "| over NVIDIA | of a copy | peak MiB, kernels / compile |",
        "| --- | --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        rows,
    )


def draw_operations(rows: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Bars: how many times faster than eager PyTorch each contender is, for each pass."""
    rows = [row for row in rows if "eager" in row["times"]]
    figure = Figure(figsize=(9, 0.35 * len(rows) + 1), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(("compile", "compile, graphs", "nvidia", "kernels")):
        timed = [(number, row["times"]) for number, row in enumerate(rows) if name in row["times"]]
        if timed:
            places = [number + 0.2 * index for number, _ in timed]
            lengths = [times["eager"]["median"] / times[name]["median"] for _, times in timed]
            axes.barh(places, lengths, height=0.2, label=name)
    axes.set_yticks([number + 0.3 for number in range(len(rows))], [place(row) for row in rows], fontsize=6)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xlabel("times as fast as eager PyTorch")
    axes.legend(fontsize=7)
    figure.savefig(picture, dpi=100, metadata={"Software": None})


def draw_steps(steps: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Bars: the time of each kind of step by each contender, with its 20th and 80th percentile."""
    figure = Figure(figsize=(9, 2.2 * len(steps)), layout="constrained")
    for axes, step in zip(figure.subplots(len(steps), squeeze=False)[:, 0], steps, strict=True):
        times = step["times"]
        middle = [time["median"] for time in times.values()]
        spread = [
            [time["median"] - time["p20"] for time in times.values()],
            [time["p80"] - time["median"] for time in times.values()],
        ]
        axes.barh(list(times), middle, xerr=spread)
        axes.invert_yaxis()
        axes.set_title(f"{step['system']}: {step['what']}, batch {step['batch']}", fontsize=9)
        axes.set_xlabel("ms")
    figure.savefig(picture, dpi=100, metadata={"Software": None})


def write(folder: Path, file: Path) -> None:
    """Write the page for the results in a folder, and its pictures beside it."""
    found = results(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(found), encoding="utf-8")
    for name, result in found.items():
        if not _has_kernels(result):
            continue
        if result["rows"]:
            draw_operations(result["rows"], file.parent / f"{name}.png")
        if result["steps"]:
            draw_steps(result["steps"], file.parent / f"{name}-steps.png")


def main() -> int:
    """Write the page, or say whether it is fresh."""
    if "--check" in sys.argv[1:]:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page(results(RESULTS))
        print(*(["stale: run scripts/kernel_results.py"] if stale else []))
        return int(stale)
    write(RESULTS, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
