"""The reference as it is built has a table for every config, with a row for each of its settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

from ganframe.config.component_kinds import KINDS
from ganframe.config.experiment import Best, Checkpoint, Ema, Evaluate, Experiment, Snapshot, Train
from ganframe.config.growth import Growth, Stage
from ganframe.config.settings import Settings
from ganframe.config.weights import Freeze, WeightSource
from ganframe.plugins.discovery import installed

ROOT = Path(__file__).resolve().parents[2]

SECTIONS = {
    "experiment": Experiment,
    "train": Train,
    "trainema": Ema,
    "evaluate": Evaluate,
    "evaluatebest": Best,
    "snapshot": Snapshot,
    "checkpoint": Checkpoint,
    "growth": Growth,
    "growthstages": Stage,
    "init_from": WeightSource,
    "freeze": Freeze,
}
"""The configs of the page of the experiment, by the ids of their headings."""


class Tables(HTMLParser):
    """Collects rows of a page by the id of the heading of level 1 or 2 above: first cells, and those without a default.

    Attributes:
        rows: The first cell of each row, which names a setting.
        required: The settings that say "required" in place of a default.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self.required: dict[str, set[str]] = {}
        self.heading, self.cell, self.in_code, self.in_default = "", 0, False, False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h1", "h2"):
            self.heading = dict(attrs).get("id") or ""
        self.cell = 0 if tag == "tr" else self.cell + (tag == "td")
        self.in_code = tag == "code" and self.cell == 1
        self.in_default = self.cell == 3

    @override
    def handle_endtag(self, tag: str) -> None:
        self.cell = 0 if tag == "table" else self.cell
        self.in_code = False

    @override
    def handle_data(self, data: str) -> None:
        if self.in_code:
            self.rows.setdefault(self.heading, []).append(data)
        if self.in_default and data == "required":
            self.required.setdefault(self.heading, set()).add(self.rows[self.heading][-1])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the components and of the experiment, built as they are for the site, which has others too."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("ganframe", "plugins", "docs/templates", "docs/reference/components", "docs/reference/experiment.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    with_navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(with_navigation.partition("\nnav:")[0], encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return folder / "site" / "reference"


def tables(page: Path) -> Tables:
    found = Tables()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def settings(cls: type[Settings]) -> set[str]:
    return set(cls.model_fields) - {"type"}


def required(classes: Mapping[str, type[Settings]]) -> dict[str, set[str]]:
    """Return the settings without a default, by the id of the heading of their config."""
    found = {
        name: {field for field in settings(cls) if cls.model_fields[field].is_required()}
        for name, cls in classes.items()
    }
    return {name: fields for name, fields in found.items() if fields}


@pytest.mark.parametrize("kind", [base.kind for base in KINDS])
def test_every_type_has_a_table_of_its_settings(reference: Path, kind: str) -> None:
    types = {cls.type_name(): cls for cls, _ in installed().registry if cls.kind == kind}
    if not types:
        (base,) = (base for base in KINDS if base.kind == kind)
        types = {f"{kind}s": base}  # by the id of the page's own heading
    found = tables(reference / "components" / kind.replace(" ", "-") / "index.html")
    expected = {name: settings(cls) for name, cls in types.items() if settings(cls)}
    assert {name: set(rows) for name, rows in found.rows.items()} == expected
    assert all(len(rows) == len(set(rows)) for rows in found.rows.values()), "a setting has two rows"
    assert found.required == required(types)


def test_the_page_of_the_experiment_has_a_table_for_each_section(reference: Path) -> None:
    found = tables(reference / "experiment" / "index.html")
    assert {name: set(rows) for name, rows in found.rows.items()} == {n: settings(cls) for n, cls in SECTIONS.items()}
    assert found.required == required(SECTIONS)
