"""Writes the pages of components, packages, checks and commands, and the gallery, from what the packages register.

`python scripts/reference_pages.py` writes them; with `--check` it only says whether they are fresh. A page names each
component and its source; mkdocstrings fills in the docstrings and fields when the site is built.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from ganframe.cli.app import app
from ganframe.config.component import Component
from ganframe.config.kinds import KINDS
from ganframe.config.presets import summaries
from ganframe.plugins.discovery import installed
from ganframe.testing.kit import MODULES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMPONENTS = DOCS / "reference" / "components"
PACKAGES = DOCS / "packages"

WHAT = {
    "game": "A game says who plays, what tensors a batch becomes, who judges what, and in which turns players move.",
    "generator": "A generator makes samples, from a latent or from a sample of another domain.",
    "discriminator": "A discriminator judges samples; its verdict may carry features and class logits.",
    "loss": "An adversarial loss scores contests. Losses are listed under `losses:` and summed with their weights.",
    "regularizer": "A regularizer is any other term of a turn's objective. They are listed under `regularizers:`.",
    "label policy": "A label policy changes the targets of the discriminator. A loss lists them under `labels:`.",
    "augmentation": "An augmentation changes whatever a discriminator sees. They are listed under `augmentations:`.",
    "dataset": "A data set is a source of named tensors. A run has one, under `data:`.",
    "metric": "A metric measures samples against real data. They are listed under `evaluate.metrics:`.",
    "encoder": "An encoder is a frozen network whose activations a term or metric compares.",
    "logger": "A logger is told of the scalars and pictures of a run. They are listed under `loggers:`.",
    "optimizer": "An optimizer moves the players of a turn. `optimizers:` gives one to each turn, by the turn's name.",
    "schedule": "A schedule stands wherever a setting may change over a run, such as a `weight` or an `lr`.",
}
"""What a component of each kind is and where a config names it."""


def pages() -> dict[Path, str]:
    """The content of every generated page."""
    found = {COMPONENTS / f"{_slug(base.kind)}.md": _kind_page(base.kind) for base in KINDS}
    return found | {
        COMPONENTS / "index.md": _index(),
        DOCS / "reference" / "checks.md": _checks(),
        DOCS / "reference" / "cli.md": _commands(),
        DOCS / "gallery" / "index.md": _gallery(),
        ROOT / "mkdocs.yml": _navigation(),
        **{PACKAGES / f"{path.name}.md": (path / "README.md").read_text(encoding="utf-8") for path in _packages()},
        PACKAGES / "index.md": _package_index(),
    }


def _packages() -> list[Path]:
    return sorted(path.parent for path in (ROOT / "plugins").glob("*/*/pyproject.toml"))


def _package_index() -> str:
    rows: list[str] = []
    for path in _packages():
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        types = [f"`{cls.type_name()}`" for cls, package in installed().registry if package == path.name]
        rows.append(f"| [{path.name}]({path.name}.md) | {project['description']} | {', '.join(types)} |")
    head = (
        "# Packages\n\nEvery package of this repository, with its formulas, when to use it, and what goes wrong.\n\n"
        "| Package | What it holds | Types |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def _navigation() -> str:
    """`mkdocs.yml` with the pages of components and packages as they are."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    kinds = [f"reference/components/{_slug(base.kind)}.md" for base in KINDS]
    packages = [f"packages/{path.name}.md" for path in _packages()]
    for title, pages in (
        ("Components", ["reference/components/index.md", *kinds]),
        ("Packages", ["packages/index.md", *packages]),
    ):
        begin, lines = next(
            (match[1] + match[2], match[1]) for match in re.finditer(rf"^( *)(- {title}:\n)", text, re.M)
        )
        listed = "".join(f"{lines}    - {page}\n" for page in pages)
        text = re.sub(rf"{begin}(?:{lines}    - .*\n)*", begin + listed, text)
    return text


def _components(kind: str) -> Iterator[tuple[type[Component], str]]:
    """The components of a kind that this repository supplies, with their packages."""
    for cls, package in installed().registry:
        if cls.kind == kind and _ours(package):
            yield cls, package


def _ours(package: str) -> bool:
    return package == "ganframe" or any((ROOT / "plugins").glob(f"*/{package}"))


def _slug(kind: str) -> str:
    return kind.replace(" ", "-")


def _plural(kind: str) -> str:
    return {"loss": "Losses", "label policy": "Label policies", "dataset": "Data sets"}.get(
        kind, f"{kind.capitalize()}s"
    )


def _kind_page(kind: str) -> str:
    parts = [f"# {_plural(kind)}\n\n{WHAT[kind]}\n"]
    for cls, package in _components(kind):
        facts = [f"Package: `{package}`", f"Python: `{cls.__module__}.{cls.__name__}`"]
        if cls.aliases:
            facts.append("Also called: " + ", ".join(f"`{alias}`" for alias in cls.aliases))
        if cls.paper:
            facts.append(f"Source: {cls.paper}")
        listed = "".join(f"- {fact}\n" for fact in facts)
        directive = f"::: {cls.__module__}.{cls.__name__}\n    options: {{show_root_heading: false, members: false}}\n"
        parts.append(f"## {cls.type_name()}\n\n{listed}\n{directive}")
    return "\n".join(parts)


def _index() -> str:
    rows = [
        f"| [{_plural(base.kind)}]({_slug(base.kind)}.md) | "
        + ", ".join(
            f"[{cls.type_name()}]({_slug(base.kind)}.md#{cls.type_name()})" for cls, _ in _components(base.kind)
        )
        + " |"
        for base in KINDS
    ]
    head = (
        "# Components\n\nEverything that the packages of this repository register.\n\n| Kind | Types |\n| --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def _gallery() -> str:
    parts = [
        "# Gallery\n\nWhat each preset makes. Every picture is the `samples.png` of a real run of the command under it,"
        " drawn with the averaged generator where the config averages.\n"
    ]
    for name, summary, package in summaries():
        if _ours(package):
            picture = f"![Samples of {name}]({name}.png)\n\n" if (DOCS / "gallery" / f"{name}.png").is_file() else ""
            command = f"```console\n$ ganframe train {name}\n```\n"
            parts.append(f"## {name}\n\n{summary} (`{package}`).\n\n{picture}{command}")
    return "\n".join(parts)


def _checks() -> str:
    parts = ["# Checks\n\nWhat [the conformance kit](testing.md) checks, by the kind of the component.\n"]
    for kind in ("every kind", *(base.kind for base in KINDS)):
        found = [room.CHECKS[kind] for room in MODULES if kind in room.CHECKS]
        rows = [f"| {name} | {_line(check.__doc__)} |" for checks in found for name, check in checks.items()]
        title = kind.capitalize() if kind == "every kind" else _plural(kind)
        if rows:
            parts.append(f"## {title}\n\n| Check | What must hold |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _line(docstring: str | None) -> str:
    return " ".join((docstring or "").split()).replace("|", "\\|")


def _commands() -> str:
    head = (
        "# Command line\n\nPlugins may add commands; these are those of the core. Exit codes: 0 done, 1 failed, 2 bad"
        " input, 130 interrupted, 143 terminated. `ganframe COMMAND --help` says the same as this page.\n"
    )
    return "\n".join([head, *_described(typer.main.get_command(app), "ganframe", None)])


def _described(command: Any, name: str, parent: Any) -> Iterator[str]:
    # Typer brings a Click of its own, whose classes have no public name.
    context = command.context_class(command, info_name=name, parent=parent)
    if parent is not None:
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        rows = [f"| {_name(each)} | {_line(each.help)} | {_default(each)} |" for each in command.params]
        table = "| | | Default |\n| --- | --- | --- |\n" + "\n".join(rows) if rows else ""
        title = context.command_path.removeprefix("ganframe ")
        yield f"## {title}\n\n{_line(command.help)}\n\n```text\n{usage}\n```\n\n{table}".rstrip() + "\n"
    for each, found in sorted(getattr(command, "commands", {}).items()):
        yield from _described(found, each, context)


def _name(parameter: Any) -> str:
    return ", ".join(f"`{each}`" for each in parameter.opts)


def _default(parameter: Any) -> str:
    given = parameter.default
    return "" if parameter.required or given in (None, False, []) or callable(given) else f"`{given}`"


def main() -> int:
    """Write or check the pages."""
    wanted = pages()
    there = {*COMPONENTS.glob("*.md"), *PACKAGES.glob("*.md")}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    surplus = sorted(there - wanted.keys())
    if "--check" in sys.argv[1:]:
        for path in (*stale, *surplus):
            print(f"stale: {path.relative_to(ROOT)}")
        return int(bool(stale or surplus))
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    for path in surplus:
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
