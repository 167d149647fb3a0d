"""Write a new plugin package from the files in `templates/`."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from string import Template

from ganframe.errors import BadInput
from ganframe.plugins.discovery import installed
from ganframe.plugins.first_party import PACKAGES

TEMPLATES = Path(__file__).parent / "templates"


def write_plugin(name: str, parent: Path, *, first_party: bool = False) -> Path:
    """Write a new plugin package.

    Args:
        name: Name of the new types and of the distribution, in lower case: `my-gan`.
        parent: The folder in which the package folder is created.
        first_party: Whether the package is for the repository of ganframe. If so, the distribution is `ganframe-NAME`.

    Returns:
        The package folder.

    Raises:
        BadInput: When the name is not a package name or is taken, or the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        remedy = "Use lower-case words with hyphens, such as my-gan."
        raise BadInput(f"{name!r} is not a package name", remedy=remedy)
    distribution = f"ganframe-{name}" if first_party else name
    module = distribution.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module) is not None:
        raise BadInput(f"the module name {module!r} is taken", remedy="Choose another name.")
    kinds = ("generator", "discriminator", "loss")
    owners = [installed().registry.packages.get((kind, name)) or PACKAGES.get((kind, name)) for kind in kinds]
    owners += [plugin.package for plugin in installed().plugins if plugin.name == name]
    owners += [package for preset, (_, package) in installed().presets.items() if preset == f"{name}-digits"]
    if any(owners):
        raise BadInput(f"the name {name!r} is taken by {next(filter(None, owners))}", remedy="Choose another name.")
    folder = parent / distribution
    if folder.exists():
        raise BadInput("this folder exists already", place=str(folder), remedy="Choose another name or --out.")
    values = {
        "name": name,
        "distribution": distribution,
        "module": module,
        "Class": "".join(word.title() for word in name.split("-")),
    }
    for source in sorted(TEMPLATES.rglob("*.template")):
        relative = str(source.relative_to(TEMPLATES).with_suffix(""))
        target = folder / relative.replace("module", module).replace("preset.yaml", f"{name}-digits.yaml")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(source.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
    return folder
