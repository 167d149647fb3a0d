"""Finding and reading configs, by a path or by the name of a preset."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from ganframe.config import installed_components
from ganframe.config.arguments import as_path, check_names
from ganframe.config.error_positions import read_document
from ganframe.config.experiment import Experiment
from ganframe.config.load import Loaded, load_experiment
from ganframe.errors import BadInput


def find_config(name: str) -> Path:
    """Return the path of a config file.

    Args:
        name: The path itself, or the name of an installed preset.

    Raises:
        BadInput: When neither exists. The error suggests a preset with a similar name.
    """
    path = as_path("name", name)
    name = str(name)  # whoever has a path may give one
    if path.exists() and not path.is_dir():  # a file, or a pipe such as /dev/stdin
        return path
    presets = installed_components.find_installed().presets
    if name in presets:
        return presets[name][0]
    if (path / "config.yaml").is_file():
        raise BadInput("this is a run, not a config", place=name, remedy="Add --resume to go on with it.")
    if path.is_dir() or path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise BadInput("there is no config file here", place=name)
    near = difflib.get_close_matches(name, presets, 1)
    remedy = f"Did you mean {near[0]!r}?" if near else "`ganframe presets` lists the installed ones."
    raise BadInput(f"there is no preset or config file {name!r}", remedy=remedy)


def load(name: str, overrides: Sequence[str] = ()) -> Loaded:
    """Read a config file or a preset, and keep the line and column of each value for error messages.

    Args:
        name: A path or the name of a preset.
        overrides: Settings to override, each as `a.b=c`: a dotted path and a YAML value.

    Raises:
        BadInput: When the config is not found or not valid. The message has the line and column of each mistake.
    """
    check_names("overrides", overrides, "a list of settings, each as `a.b=c`")
    return load_experiment(find_config(name), overrides)


def load_config(name: str, *overrides: str) -> Experiment:
    """Read a config file or a preset.

    Args:
        name: A path or the name of a preset.
        overrides: Settings to override, each as `a.b=c`: a dotted path and a YAML value.

    Raises:
        BadInput: When the config is not found or not valid. The message has the line and column of each mistake.
    """
    return load(name, overrides).experiment


def summaries() -> list[tuple[str, str, str]]:
    """Return the name, summary and package of every installed preset, sorted by name."""
    found = sorted(installed_components.find_installed().presets.items())
    return [(name, str(read_document(path).data.get("summary", "")), package) for name, (path, package) in found]
