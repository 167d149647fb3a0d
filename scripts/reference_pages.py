"""Writes the pages of components, packages, public modules, checks and commands, and the gallery, from the code.

`python scripts/reference_pages.py` writes them; with `--check` it only says which are stale. A page names each
component and its source; mkdocstrings fills in the docstrings and fields when the site is built.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import typer.main

from ganframe.cli.app import app
from ganframe.config.component import Component
from ganframe.config.component_kinds import KINDS
from ganframe.config.presets import summaries
from ganframe.plugins.discovery import installed
from ganframe.testing.kit import MODULES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMPONENTS = DOCS / "reference" / "components"
PACKAGES = DOCS / "packages"

WHAT = {
    "game": "A game says which networks play, which tensors a batch becomes, which of them discriminators tell apart,"
    " and in which turns the networks train.",
    "generator": "A generator makes samples, from a latent or from a sample of another domain.",
    "discriminator": "A discriminator scores samples; its output may have features and class logits beside the logits.",
    "loss": "An adversarial loss scores contests. Losses are listed under `losses:` and summed with their weights.",
    "regularizer": "A regularizer is any other term of a turn's objective. They are listed under `regularizers:`.",
    "label policy": "A label policy changes the discriminator's targets. A loss lists them under `label_policies:`.",
    "augmentation": "An augmentation changes samples before a discriminator sees them. They are listed under"
    " `augmentations:`.",
    "dataset": "A data set is a source of named tensors. A run has one, under `data:`.",
    "metric": "A metric measures samples against real data. They are listed under `evaluate.metrics:`.",
    "encoder": "An encoder is a frozen network whose activations a term or metric compares.",
    "logger": "A logger receives the scalars and pictures of a run. They are listed under `loggers:`.",
    "optimizer": "An optimizer updates the players of a turn. `optimizers:` has one for each turn, by the turn's name.",
    "turn condition": "A turn condition says in which steps a turn is taken. `turn_conditions:` has one for a turn, by"
    " the turn's name; a game may set one itself.",
    "balancer": "A balancer weighs the terms of a turn by their gradients. `balancers:` has one for a turn, by the"
    " turn's name.",
    "schedule": "A schedule stands wherever a setting may change over a run, such as a `weight` or an `lr`.",
}
"""A sentence about each kind: what it is, and where a config names it."""

PUBLIC = {
    "ganframe": "Train, load, hooks and errors, and what loggers need. Users of the Python API need no other.",
    "ganframe.config": "What a module of configs needs: base classes of all kinds, schedules, specs. Free of torch.",
    "ganframe.game": "What a live object needs: games, rounds, discriminator outputs, bases of losses and penalties,"
    " random draws, sums over ranks.",
    "ganframe.data": "What a data set needs: tensors in memory, arrays, unreadable files.",
    "ganframe.testing": "The conformance kit. Its modules `ganframe.testing.fakes` and `ganframe.testing.runs` are"
    " public as well.",
}
"""The modules that plugins import, each with a sentence; `importlinter.toml` forbids them all others."""


def pages() -> dict[Path, str]:
    """Return the content of every generated page."""
    found = {COMPONENTS / f"{_slug(base.kind)}.md": _kind_page(base.kind) for base in KINDS}
    return found | {
        COMPONENTS / "index.md": _index(),
        DOCS / "reference" / "public-modules.md": _public_modules(),
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
    """Return `mkdocs.yml` with the present pages of components and packages."""
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
    """Yield the components of a kind that this repository supplies, with their packages."""
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
    components = list(_components(kind))
    if not components:
        (base,) = (base for base in KINDS if base.kind == kind)
        parts.append(f"No package of this repository supplies a {kind}. Every {kind} has these settings:\n")
        parts.append(_settings(base))
    for cls, package in components:
        facts = [f"Package: `{package}`", f"Python: `{cls.__module__}.{cls.__name__}`"]
        if cls.aliases:
            facts.append("Also called: " + ", ".join(f"`{alias}`" for alias in cls.aliases))
        if cls.paper:
            facts.append(f"Source: {cls.paper}")
        listed = "".join(f"- {fact}\n" for fact in facts)
        parts.append(f"## {cls.type_name()}\n\n{listed}\n{_settings(cls)}")
    return "\n".join(parts)


def _settings(cls: type[Component]) -> str:
    """Return the directive that mkdocstrings replaces by the docstring of a config and the table of its settings."""
    return f"::: {cls.__module__}.{cls.__name__}\n    options: {{show_root_heading: false, members: false}}\n"


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


def _public_modules() -> str:
    core = griffe.load("ganframe", search_paths=[ROOT], resolve_aliases=True)
    parts = [
        "# Public modules\n\nPlugins import the core from five modules. A contract in `importlinter.toml` refuses any"
        " other in the packages of this repository; modules that lie deeper may be renamed at any time. A module of"
        " configs imports `ganframe.config`, which is free of torch; live objects import `ganframe.game` or"
        " `ganframe.data`.\n"
    ]
    for path, sentence in PUBLIC.items():
        module: Any = core[path.removeprefix("ganframe").removeprefix(".")] if path != "ganframe" else core
        rows = [f"| `{name}` | {_summary(module[name])} |" for name in sorted(_exports(module), key=str.lower)]
        table = "\n".join(["| Name | |", "| --- | --- |", *rows])
        parts.append(f"## {path}\n\n{sentence}\n\n{table}\n")
    return "\n".join(parts)


def _exports(module: Any) -> list[str]:
    return [getattr(name, "name", name) for name in module.exports]


def _summary(item: Any) -> str:
    """Return the first paragraph of a docstring."""
    return _line(item.docstring.value.partition("\n\n")[0]) if item.docstring else ""


def _gallery() -> str:
    parts = [
        "# Gallery\n\nSamples of every preset. Every picture is the `samples.png` of a real run of the command under"
        " it, drawn with the averaged generator where the config averages; a moving picture is made of those that a"
        " metric draws during the run.\n"
    ]
    for name, summary, package in summaries():
        if _ours(package):
            files = [
                f"{name}{suffix}" for suffix in (".gif", ".png") if (DOCS / "gallery" / f"{name}{suffix}").is_file()
            ]
            picture = f"![Samples of {name}]({files[0]})\n\n" if files else ""
            command = f"```console\n$ ganframe train {name}\n```\n"
            parts.append(f"## {name}\n\n{summary} (`{package}`).\n\n{picture}{command}")
    return "\n".join(parts)


def _checks() -> str:
    parts = ["# Checks\n\nThe checks of [the conformance kit](testing.md), by kind of component.\n"]
    for kind in ("every kind", *(base.kind for base in KINDS)):
        found = [module.CHECKS[kind] for module in MODULES if kind in module.CHECKS]
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
        rows = [f"| {_name(option)} | {_line(option.help)} | {_default(option)} |" for option in command.params]
        table = "| | | Default |\n| --- | --- | --- |\n" + "\n".join(rows) if rows else ""
        title = context.command_path.removeprefix("ganframe ")
        yield f"## {title}\n\n{_line(command.help)}\n\n```text\n{usage}\n```\n\n{table}".rstrip() + "\n"
    for subcommand, found in sorted(getattr(command, "commands", {}).items()):
        yield from _described(found, subcommand, context)


def _name(parameter: Any) -> str:
    return ", ".join(f"`{option}`" for option in parameter.opts)


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
