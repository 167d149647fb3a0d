"""The documentation cannot rot: its Python runs, its configs fit together, its commands exist, its lists are whole."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
import typer.main
from PIL import Image
from pytest_examples import CodeExample, EvalExample, find_examples
from ruamel.yaml import YAML

import ganframe
from ganframe.cli.app import app
from ganframe.config.component import Component
from ganframe.config.experiment import Experiment
from ganframe.config.tensor_specs import TensorSpec
from ganframe.config.yaml import dump_yaml
from ganframe.data import TensorData, pack
from ganframe.plugins.discovery import installed
from ganframe.testing.fakes import example_config
from ganframe.testing.kit import MODULES
from ganframe.training.assembly import assemble

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "kernels/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMAND: Any = typer.main.get_command(app)

BASE = {
    "game": {"type": "adversarial", "generator": "dcgan", "discriminator": "dcgan", "condition": "label"},
    "losses": ["non-saturating"],
    "data": "digits",
    "train": {"total_images": 1000},
}
"""The settings that complete a config in the documentation which shows only some."""

TRANSLATIONS = {
    "paired": {"type": "paired", "generator": {"type": "unet", "channels": 8}, "discriminator": "patchgan"},
    "unpaired": {"type": "cycle", "generator": {"type": "resnet", "channels": 8}, "discriminator": "patchgan"},
}
"""The game of a config that shows only paired or unpaired data."""

FOLDERS = (
    *("photos/cats", "photos/dogs", "maps/source", "maps/target", "horses", "zebras"),
    *("flowers/rose", "flowers/tulip", "edges", "shoes", "facades"),
)
"""Folders of images in the examples of the documentation."""

PACKED = ("photos-64", "flowers-64")
"""Folders of packed images in the examples of the documentation."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of every page in these languages."""
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", text, re.M | re.S):
            if match[2] in languages:
                found.append(Block(page, text[: match.start()].count("\n") + 1, match[2], dedent(match[3])))
    return found


def _python_pages() -> dict[str, list[CodeExample]]:
    pages: dict[str, list[CodeExample]] = defaultdict(list)
    for example in find_examples(*PAGES):
        pages[str(example.path.relative_to(ROOT))].append(example)
    return pages


PYTHON = _python_pages()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with the images and archives of the examples."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (80, 80), (number * 20, 60, 30)).save(tmp_path / folder / f"{number}.png")
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path, "photos")
    labels = np.arange(12) % 2
    np.savez(tmp_path / "photos.npz", images=np.zeros((12, 28, 28), np.uint8), labels=labels, names=["cat", "dog"])
    for number, folder in enumerate(("cats", "dogs")):
        with tarfile.open(tmp_path / f"photos-{number:03d}.tar", "w") as shard:
            for file in (tmp_path / "photos" / folder).iterdir():
                shard.add(file, f"{folder}/{file.name}")
                label = tarfile.TarInfo(f"{folder}/{file.stem}.cls")
                label.size = 1
                shard.addfile(label, io.BytesIO(str(number).encode()))
    for name in PACKED:
        images = {"real": torch.zeros(4, 3, 64, 64, dtype=torch.uint8), "label": torch.arange(4)}
        specs = {"real": TensorSpec((3, 64, 64)), "label": TensorSpec((), 4)}
        pack(TensorData(images), specs, tmp_path / name, data="example")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", sorted(PYTHON))
def test_python_runs_and_prints_what_it_says(
    page: str, eval_example: EvalExample, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the blocks of a page, in order and in one namespace."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the examples take its place
    # The frames that it makes up crash pytest on Python 3.11.
    monkeypatch.setattr("pytest_examples.run_code.create_example_traceback", lambda *_: None)
    eval_example.set_config(line_length=120)
    names: dict[str, Any] = {}
    for example in PYTHON[page]:
        check = eval_example.run_print_update if eval_example.update_examples else eval_example.run_print_check
        names |= check(example, module_globals=names)


GUIDES = [page for page in sorted(PYTHON) if page.startswith("docs/how-to/write-a-") and "loss-plugin" not in page]
"""The guides whose configs build a live object of the same page."""
IN_A_PACKAGE = {"imports without torch", "directory agrees"}
"""The checks of the kit that are about the module of a config, which an example has none of."""


@pytest.mark.parametrize("page", GUIDES)
def test_components_of_a_guide_pass_the_conformance_kit(
    page: str, eval_example: EvalExample, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names: dict[str, Any] = {}
    first_config = next(index for index, block in enumerate(PYTHON[page]) if "    type: Literal[" in block.source)
    for example in PYTHON[page][: first_config + 1]:
        names |= eval_example.run(example, module_globals=names)
    own = {value for value in names.values() if isinstance(value, type) and issubclass(value, Component)}
    (config,) = (cls for cls in own if cls.type_name() and not cls.__module__.startswith("ganframe"))
    if config.kind == "logger":  # the kit resumes a run, for which the type has to be found
        registry = installed().registry.copy()
        registry.add(config, "csv-log")
        monkeypatch.setattr(installed(), "registry", registry)
    for module in MODULES:
        for title, check in {**module.CHECKS.get("every kind", {}), **module.CHECKS.get(config.kind, {})}.items():
            if title not in IN_A_PACKAGE:
                folder = workplace / title
                folder.mkdir()
                check(example_config(config, folder))


def _config(block: Block) -> Any:
    return YAML(typ="safe").load(block.text)


def _is_config(block: Block) -> bool:
    data = _config(block)
    return isinstance(data, dict) and data.keys() <= Experiment.model_fields.keys()


CONFIGS = [block for block in blocks("yaml") if _is_config(block)]


def _register_types_of_page(block: Block, eval_example: EvalExample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the Python of the page of a config that names types which are defined there, and register these."""
    if not any(
        re.search(rf"\b{name}\b", block.text) for name in re.findall(r'Literal\["(.+?)"\]', block.page.read_text())
    ):
        return
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names: dict[str, Any] = {}
    for example in PYTHON[str(block.page.relative_to(ROOT))]:
        names |= eval_example.run(example, module_globals=names)
    registry = installed().registry.copy()
    for cls in {value for value in names.values() if isinstance(value, type) and issubclass(value, Component)}:
        if cls.type_name() and (cls.kind, cls.type_name()) not in registry.classes:
            registry.add(cls, "this-page")
    monkeypatch.setattr(installed(), "registry", registry)


@pytest.mark.parametrize("block", CONFIGS, ids=str)
def test_configs_fit_together(
    block: Block, workplace: Path, eval_example: EvalExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assemble a whole config as it stands, and a part of one with the other settings of a plain conditional game."""
    _register_types_of_page(block, eval_example, monkeypatch)
    file = workplace / "config.yaml"
    data = _config(block)
    whole = {"game", "train"} <= data.keys()
    if data.keys() == {"data"} and not whole:
        given = installed().registry.find("dataset", data["data"]["type"]).model_validate(data["data"]).spec()
        kind = "paired" if "source" in given else "unpaired" if "real_a" in given else ""
        data |= {"game": TRANSLATIONS[kind]} if kind else {}
    file.write_text(block.text if whole else dump_yaml(BASE | data), encoding="utf-8")
    assert assemble(ganframe.load_config(str(file))).game.players


def _commands() -> Iterator[tuple[str, list[str]]]:
    for block in blocks("console", "bash", "sh"):
        joined = block.text.replace("\\\n", " ")
        for offset, line in enumerate(joined.splitlines()):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] == "ganframe":
                yield f"{block}+{offset} {' '.join(words)}", words[1:]


COMMANDS = dict(_commands())


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line: str) -> None:
    """Parse the line as the command line does; presets have to be installed."""
    command, words = COMMAND, COMMANDS[line]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    if "--help" in words:
        return
    context = command.context_class(command, info_name="ganframe")
    command.parse_args(context, list(words))
    config = context.params.get("config")
    if config and Path(config).suffix == "" and not config.startswith("runs/"):
        assert config in installed().presets, f"there is no preset {config!r}"
        ganframe.load_config(config, *context.params["overrides"])


def test_reference_and_gallery_are_fresh() -> None:
    script = ROOT / "scripts" / "reference_pages.py"
    found = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"run scripts/reference_pages.py:\n{found.stdout}{found.stderr}"


def test_kernel_results_are_fresh() -> None:
    script = ROOT / "scripts" / "kernel_results.py"
    found = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("package", sorted(path.name for path in (ROOT / "plugins").glob("*/*") if path.is_dir()))
def test_readme_lists_every_package_with_its_types(package: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith(f"| `{package}`")]
    assert len(rows) == 1, f"the table of packages has {len(rows)} rows for {package}"
    types = [cls.type_name() for cls, owner in installed().registry if owner == package]
    presets = [name for name, (_, owner) in installed().presets.items() if owner == package]
    missing = [name for name in (*types, *presets) if f"`{name}`" not in rows[0]]
    assert not missing, f"its row does not name {', '.join(missing)}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = (page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents)
    missing = [page for page in pages if page not in navigation]
    assert not missing, f"not in mkdocs.yml: {', '.join(missing)}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    """Follow the links of pages outside of the site, which checks its own."""
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing, f"no such file: {', '.join(missing)}"


TOUR = re.findall(
    r"^\| `([\w/]+\.py)`: `(\w+)` \|",
    (ROOT / "docs/explanation/how-to-read-this-code.md").read_text(encoding="utf-8"),
    re.M,
)


@pytest.mark.parametrize(("file", "name"), TOUR)
def test_tour_of_the_code_names_what_exists(file: str, name: str) -> None:
    source = (ROOT / "ganframe" / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *(?:def|class) {name}\b", source, re.M), f"{file} has no {name}"


def test_tour_of_the_code_lists_every_sub_package() -> None:
    page = (ROOT / "docs/explanation/how-to-read-this-code.md").read_text(encoding="utf-8")
    folders = (f"{path.name}/" for path in (ROOT / "ganframe").iterdir() if (path / "__init__.py").is_file())
    modules = (path.name for path in (ROOT / "ganframe").glob("[a-z]*.py"))
    missing = [name for name in (*folders, *modules) if f"\n  {name} " not in page]
    assert not missing, f"not in the tree: {', '.join(missing)}"
