"""Every first-party package can be left out, and all of them are kept alike."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ganframe.config.component import Component
from ganframe.config.load import load_experiment
from ganframe.config.presets import find_config
from ganframe.errors import BadInput
from ganframe.plugins.discovery import installed
from ganframe.plugins.first_party import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))


def names(folder: Path) -> tuple[str, str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["ganframe"]
    return project["name"], entry


@pytest.fixture(scope="module")
def everything() -> dict[str, list[tuple[type[Component], str]]]:
    owned: dict[str, list[tuple[type[Component], str]]] = {}
    for cls, package in installed().registry:
        owned.setdefault(package, []).append((cls, package))
    return owned


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.usefixtures("fresh_plugins")
def test_without_a_package_the_rest_works_and_configs_say_what_to_install(
    folder: Path, everything: dict[str, list[tuple[type[Component], str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    package, entry = names(folder)
    presets = {name: path for name, (path, _) in installed().presets.items()}
    points, distributions = metadata.entry_points, metadata.distributions
    # As if uninstalled: neither its entry point nor its distribution can be found.
    monkeypatch.setattr(
        "ganframe.plugins.discovery.entry_points",
        lambda group: [each for each in points(group=group) if each.name != entry],
    )
    monkeypatch.setattr(
        metadata, "distributions", lambda **by: [] if by.get("name") == package else distributions(**by)
    )
    installed.cache_clear()
    assert [plugin.error for plugin in installed().plugins if plugin.error] == []
    for cls, _ in everything[package]:
        said = installed().registry.find(cls.kind, cls.type_name())
        assert isinstance(said, str)
        assert f"pip install {package}" in said
    for path in presets.values():
        try:
            load_experiment(path)
        except BadInput as problem:
            assert f"pip install {package}" in str(problem)


def test_the_directory_names_every_type_of_every_package() -> None:
    registered = {key: owner for key, owner in installed().registry.packages.items() if owner != "ganframe"}
    assert registered == PACKAGES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_packages_are_alike(folder: Path) -> None:
    package, entry = names(folder)
    assert folder.name == package == f"ganframe-{entry}"
    assert (folder / "README.md").read_text().startswith(f"# {package}\n")
    assert (folder / "src" / package.replace("-", "_") / "__init__.py").is_file()
    kit = (folder / "tests" / "test_conformance.py").read_text()
    assert f'test_conformance = conformance("{package.replace("-", "_")}"' in kit


def test_every_preset_is_found_and_loads() -> None:
    for name in installed().presets:
        assert load_experiment(find_config(name)).experiment.summary
