"""Writes `docs/explanation/guarantees.md` from the proofs in `tests/guarantees/` and the figures that they measured.

    python scripts/guarantees_page.py [--check]

The docstring of each module says in its first paragraph what is promised, and in the rest how that is tested.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
FIGURES = ROOT / "docs" / "explanation" / "guarantees.json"
TESTS = ROOT / "tests" / "guarantees"

HEAD = """\
# What is promised, and how it is proven

Each promise is a file of tests in `tests/guarantees/` that injects the fault. A part of them runs with `make test`;
`make guarantees` runs all of them and writes the figures below.
"""


def page() -> str:
    """The page as it should be."""
    measured = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    modules = sorted(TESTS.glob("test_*.py"))
    return HEAD + "".join(_section(module, measured.get(module.stem.removeprefix("test_"))) for module in modules)


def _section(module: Path, measured: dict[str, object] | None) -> str:
    title = module.stem.removeprefix("test_").replace("_", " ").capitalize()
    promise, _, proof = (ast.get_docstring(ast.parse(module.read_text())) or "").partition("\n\n")
    rows = {f"**How it is tested**<br>`{module.name}`": _line(proof)} | _figures(measured)
    table = "".join(f"| {name} | {text} |\n" for name, text in rows.items())
    return f"\n## {title}\n\n| What is promised | {_line(promise)} |\n| --- | --- |\n{table}"


def _figures(measured: dict[str, object] | None) -> dict[str, str]:
    if measured is None:
        return {"**Last measured**": "not yet"}
    figures = measured["figures"]
    assert isinstance(figures, dict)
    where = f"{measured['date']}, PyTorch {measured['torch']}, Python {measured['python']}"
    return {"**Last measured**": where} | {_line(what): f"**{_number(value)}**" for what, value in figures.items()}


def _number(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() else f"{value:.2g}"


def _line(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def main() -> int:
    """Write the page, or say whether it is as it should be."""
    wanted = page()
    if "--check" in sys.argv:
        fresh = PAGE.is_file() and PAGE.read_text() == wanted
        if not fresh:
            print("docs/explanation/guarantees.md is stale: run `python scripts/guarantees_page.py`")
        return int(not fresh)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
