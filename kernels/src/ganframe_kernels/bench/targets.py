"""Targets for the kernels on a GPU, and whether measured results meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A target and the measured values.

    Attributes:
        name: The quantity.
        bound: The limit, which still meets the target.
        values: Measured values, by row.
        at_most: Whether smaller is better.
    """

    name: str
    bound: float
    values: Mapping[str, float]
    at_most: bool = False

    @property
    def worst(self) -> tuple[str, float] | None:
        """Return the row furthest from the target, and its value; None where nothing was measured."""
        choose = max if self.at_most else min
        return choose(self.values.items(), key=lambda item: item[1], default=None)

    @property
    def reached(self) -> int:
        """Return how many of the values meet the target."""
        return sum(value <= self.bound if self.at_most else value >= self.bound for value in self.values.values())

    @property
    def verdict(self) -> str:
        """Return "met", "not met" or "not measured"."""
        return "not measured" if not self.values else "met" if self.reached == len(self.values) else "not met"


def targets(result: Mapping[str, Any]) -> list[Target]:
    """Return the targets with the values of a result, as it is written to a file."""
    rows = [row for row in result["rows"] if "kernels" in row["times"] or "kernels" in row["failures"]]
    against = {name: _by_place(rows, over_compile, keep) for name, keep in _KEEP.items()}
    shares = _by_place(rows, lambda row: share(row, result["copy GB/s"]), lambda row: row["bound"] == "memory")
    return [
        Target("memory-bound operations: share of a copy", 0.85, shares),
        Target("every operation: times as fast as torch.compile", 1.0, against["all"]),
        Target("backward of the modulated epilogue: likewise", 2.5, against["epilogue"]),
        Target("double backwards: likewise", 1.8, against["double backward"]),
        Target("blur and downsampling: likewise", 2.0, against["blur"]),
        Target("plain step of StyleGAN2-256: share of the compiled one's time", 0.8, _steps(result), at_most=True),
    ]


_KEEP: Mapping[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "epilogue": lambda row: (row["op"], row["what"]) == ("modulated_epilogue", "backward"),
    "double backward": lambda row: row["what"] == "double backward",
    "blur": lambda row: row["op"].startswith("upfirdn2d") and "down 2" in row["case"],
}


def share(row: Row, ceiling: float) -> float:
    """Return the speed of the kernels, by the fewest bytes, as a share of a copy's; 0 where they failed."""
    if "kernels" not in row["times"]:
        return 0.0
    return row["gigabytes"] / row["times"]["kernels"]["median"] * 1e3 / ceiling


def over_compile(row: Row) -> float | None:
    """Return the speed of the kernels over torch.compile's, both without CUDA graphs; 0 where they failed."""
    if "compile" not in row["times"]:
        return None
    return row["times"]["compile"]["median"] / row["times"]["kernels"]["median"] if "kernels" in row["times"] else 0.0


def place(row: Row) -> str:
    """Return the label of a row."""
    return f"{row['op']}: {row['case']}, {row['dtype']}, {row['layout']}, {row['what']}"


def _by_place(
    rows: Sequence[Row], value: Callable[[Row], float | None], keep: Callable[[Row], bool]
) -> dict[str, float]:
    return {place(row): found for row in rows if keep(row) and (found := value(row)) is not None}


def _steps(result: Mapping[str, Any]) -> dict[str, float]:
    found = dict[str, float]()
    for row in result["steps"]:
        times = {name: time["median"] for name, time in row["times"].items()}
        ours = [time for name, time in times.items() if name.startswith("kernels")]
        if row["system"] == "StyleGAN2-256" and row["what"] == "plain" and ours and "compile" in times:
            found[f"batch {row['batch']}"] = min(ours) / times["compile"]
    return found


def lines(found: Sequence[Target]) -> Iterator[str]:
    """Yield a line for each target."""
    for target in found:
        sign = "<=" if target.at_most else ">="
        text = f"{target.name} {sign} {target.bound}: {target.verdict}"
        if target.worst is not None:
            where, value = target.worst
            text += f", {target.reached} of {len(target.values)}; worst {value:.2f}, {where}"
        yield text
