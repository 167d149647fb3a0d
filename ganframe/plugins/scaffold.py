"""The scaffold of new plugin packages, which are written from the files in `templates/`."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from string import Template

from ganframe.errors import BadInput
from ganframe.plugins.discovery import installed
from ganframe.plugins.first_party import PACKAGES

TEMPLATES = Path(__file__).parent / "templates"


class PackageKind(StrEnum):
    """The kind of component that a new package supplies, as the option `--kind` names it."""

    DEFAULT = "default"
    GAME = "game"
    NETWORK = "network"
    LOSS = "loss"
    REGULARIZER = "regularizer"
    METRIC = "metric"
    DATA = "data"
    LOGGER = "logger"


@dataclass(frozen=True)
class _Package:
    """The parts of a new package that depend on its kind.

    Attributes:
        holds: What the package supplies, for its description.
        kinds: The kinds of the components that are named like the package.
        dependencies: The packages whose types the preset uses.
        folders: Folders of `templates/` to copy. Files of a later folder replace those of an earlier one.
        preset: The name of the preset; `$name` stands for the name of the package.
    """

    holds: str
    kinds: tuple[str, ...]
    dependencies: tuple[str, ...]
    folders: tuple[str, ...]
    preset: str = "$name-digits"


_PLAIN_GAN = ("ganframe-adversarial", "ganframe-digits", "ganframe-minimax", "ganframe-mlp")
_PACKAGES = {
    PackageKind.DEFAULT: _Package(
        "a generator, a discriminator and a loss",
        ("generator", "discriminator", "loss"),
        ("ganframe-adversarial", "ganframe-digits"),
        ("network", "loss", "default"),
    ),
    PackageKind.GAME: _Package("a game", ("game",), ("ganframe-digits", "ganframe-minimax", "ganframe-mlp"), ("game",)),
    PackageKind.NETWORK: _Package(
        "a generator and a discriminator",
        ("generator", "discriminator"),
        ("ganframe-adversarial", "ganframe-digits", "ganframe-minimax"),
        ("network",),
    ),
    PackageKind.LOSS: _Package(
        "a loss", ("loss",), ("ganframe-adversarial", "ganframe-digits", "ganframe-mlp"), ("loss",)
    ),
    PackageKind.REGULARIZER: _Package("a regularizer", ("regularizer",), _PLAIN_GAN, ("regularizer",)),
    PackageKind.METRIC: _Package("a metric", ("metric",), _PLAIN_GAN, ("metric",)),
    PackageKind.DATA: _Package(
        "a data set", ("dataset",), ("ganframe-adversarial", "ganframe-minimax", "ganframe-mlp"), ("data",), "$name"
    ),
    PackageKind.LOGGER: _Package("a logger", ("logger",), _PLAIN_GAN, ("logger",)),
}


@dataclass(frozen=True)
class NewPackage:
    """A package that was just written.

    Attributes:
        folder: Its folder, named like the distribution.
        preset: The name of its preset.
    """

    folder: Path
    preset: str


def write_plugin(
    name: str, parent: Path, *, kind: PackageKind = PackageKind.DEFAULT, first_party: bool = False
) -> NewPackage:
    """Write a new plugin package.

    Args:
        name: Name of the new types and of the distribution, in lower case: `my-gan`.
        parent: The folder in which the package folder is created.
        kind: What the package supplies.
        first_party: Whether the package is for the repository of ganframe. If so, the distribution is `ganframe-NAME`.

    Raises:
        BadInput: When the name is not a valid package name or is taken, or the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        remedy = "Use lower-case words with hyphens, such as my-gan."
        raise BadInput(f"{name!r} is not a package name", remedy=remedy)
    distribution = f"ganframe-{name}" if first_party else name
    module = distribution.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module) is not None:
        raise BadInput(f"the module name {module!r} is taken", remedy="Choose another name.")
    package = _PACKAGES[kind]
    preset = Template(package.preset).substitute(name=name)
    owner = next(_owners(name, package, preset), None)
    if owner is not None:
        raise BadInput(f"the name {name!r} is taken by {owner}", remedy="Choose another name.")
    folder = parent / distribution
    if folder.exists():
        raise BadInput("this folder exists already", place=str(folder), remedy="Choose another name or --out.")
    dependencies = ("ganframe", *package.dependencies, "typing-extensions>=4.12")
    values = {
        "name": name,
        "distribution": distribution,
        "module": module,
        "Class": "".join(word.title() for word in name.split("-")),
        "preset": preset,
        "holds": package.holds,
        "dependencies": ", ".join(f'"{dependency}"' for dependency in dependencies),
    }
    for relative, source in _templates(package).items():
        target = folder / relative.replace("module", module).replace("preset.yaml", f"{preset}.yaml")
        text = Template(source.read_text(encoding="utf-8")).substitute(values)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_with_core_imports_last(text) if first_party else text, encoding="utf-8")
    return NewPackage(folder, preset)


def _owners(name: str, package: _Package, preset: str) -> Iterator[str]:
    """Yield the packages that already use the name for a plugin, for a type of these kinds or for a preset."""
    found = installed()
    for kind in package.kinds:
        owner = found.registry.packages.get((kind, name)) or PACKAGES.get((kind, name))
        if owner:
            yield owner
    yield from (plugin.package for plugin in found.plugins if plugin.name == name)
    if preset in found.presets:
        yield found.presets[preset][1]


def _templates(package: _Package) -> dict[str, Path]:
    """Return the template of each file of a package, by the file's path in the package."""
    folders = [TEMPLATES / folder for folder in ("common", *package.folders)]
    return {
        str(source.relative_to(folder).with_suffix("")): source
        for folder in folders
        for source in sorted(folder.rglob("*.template"))
    }


def _with_core_imports_last(text: str) -> str:
    """Move imports of the core behind other imports, as the repository requires, where the core is first-party."""
    modules = r"(?P<modules>(?:import .*\n)*)"
    core = r"(?P<core>(?P<indent> *)from ganframe.*\n(?:(?P=indent)from ganframe.*\n)*)"
    others = r"(?P<others>(?:(?P=indent)from (?!ganframe).*\n)*)"

    def reordered(found: re.Match[str]) -> str:
        before = found["modules"] + found["others"]
        return f"{before}\n{found['core']}" if before else found["core"]

    return re.sub(f"^{modules}{core}{others}", reordered, text, flags=re.M)
