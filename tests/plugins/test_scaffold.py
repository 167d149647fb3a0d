"""`ganframe plugins new` writes a package that installs, passes the conformance kit and trains."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import ganframe
from ganframe.plugins.discovery import installed
from ganframe.testing import run_checks

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    "README.md",
    "pyproject.toml",
    "src/my_gan/__init__.py",
    "src/my_gan/losses.py",
    "src/my_gan/networks.py",
    "src/my_gan/presets/my-gan-digits.yaml",
    "tests/test_conformance.py",
]


@pytest.fixture
def scaffold(cli, tmp_path):
    """The folder of a new package."""
    outcome = cli("plugins", "new", "my-gan", "--out", tmp_path)
    folder = tmp_path / "my-gan"
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"wrote    {folder}",
        f"install  pip install -e {folder}",
        "check    ganframe plugins check my-gan",
        "train    ganframe train my-gan-digits",
    ]
    return folder


@pytest.fixture
def installed_scaffold(scaffold, monkeypatch):
    """The new package, as `pip install -e` would make it visible."""
    source = scaffold / "src"
    info = source / "my_gan-0.1.0.dist-info"
    info.mkdir()
    project = tomllib.loads((scaffold / "pyproject.toml").read_text())["project"]
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["ganframe"].items())
    (info / "entry_points.txt").write_text(f"[ganframe]\n{points}")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    monkeypatch.syspath_prepend(source)
    monkeypatch.setenv("PYTHONPATH", str(source))
    installed.cache_clear()
    yield scaffold
    for module in [name for name in sys.modules if name.split(".")[0] == "my_gan"]:
        del sys.modules[module]
    installed.cache_clear()


def test_its_files(scaffold):
    files = sorted(str(path.relative_to(scaffold)) for path in scaffold.rglob("*") if path.is_file())
    assert files == FILES
    for name in FILES:
        text = (scaffold / name).read_text()
        assert "$" not in text, f"{name} has a placeholder left"
    project = tomllib.loads((scaffold / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-gan"
    assert project["entry-points"] == {"ganframe": {"my-gan": "my_gan"}}
    assert set(project["dependencies"]) == {"ganframe", "ganframe-adversarial", "ganframe-digits"}


@pytest.mark.parametrize(
    "command",
    [["check", "--select", "E,F,I,B,UP,D1", "--ignore", "D107"], ["format", "--check"]],
    ids=["lint", "format"],
)
def test_it_is_clean(scaffold, command):
    arguments = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "src"]
    found = subprocess.run(arguments, cwd=scaffold, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_passes_the_conformance_kit(installed_scaffold):
    results = list(run_checks("my-gan"))
    assert {result.name: result.error for result in results if result.error} == {}
    assert {result.name.split(":")[0] for result in results} == {
        "generator my-gan",
        "discriminator my-gan",
        "loss my-gan",
    }


def test_its_preset_trains(installed_scaffold, cli, tmp_path):
    out = tmp_path / "run"
    overrides = ("--set", "train.images=200", "--set", "snapshot.count=10")
    outcome = cli("train", "my-gan-digits", *overrides, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert ganframe.load(out).sample(2).shape == (2, 1, 28, 28)


def test_its_configs_say_what_they_are(installed_scaffold, cli):
    listed = cli("plugins").out
    assert "my-gan (my-gan) Fully connected layers from a latent to a sample." in listed
    assert "my-gan-digits" in cli("presets").out


@pytest.mark.parametrize("name", ["My-Gan", "my_gan", "-gan", "gan-", "my--gan", "1gan", "", "../gan", "my gan"])
def test_a_name_that_no_package_has(cli, tmp_path, name):
    outcome = cli("plugins", "new", "--out", tmp_path / "new", "--", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not a package name" in outcome.err
    assert "such as my-gan" in outcome.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["class", "json", "torch", "ganframe", "ganframe-digits"])
def test_a_name_that_is_taken(cli, tmp_path, name):
    outcome = cli("plugins", "new", name, "--out", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"the module name {name.replace('-', '_')!r} is taken" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlp", "hinge", "wgan-clipping", "cosine-loss"])
def test_a_name_that_a_package_has_already(cli, tmp_path, fake_plugin, name):
    fake_plugin("cosine-loss", "")
    outcome = cli("plugins", "new", name, "--out", tmp_path)
    owner = {"mlp": "ganframe-mlp", "hinge": "ganframe-hinge", "wgan-clipping": "ganframe-wasserstein"}.get(name, name)
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        f"the name {name!r} is taken by {owner}" in outcome.err or f"{name.replace('-', '_')!r} is taken" in outcome.err
    )
    assert not (tmp_path / name).exists()


def test_a_folder_that_exists_is_not_touched(cli, tmp_path):
    (tmp_path / "my-gan").mkdir()
    (tmp_path / "my-gan" / "notes").write_text("mine")
    outcome = cli("plugins", "new", "my-gan", "--out", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{tmp_path / 'my-gan'}: this folder exists already" in outcome.err
    assert [path.name for path in (tmp_path / "my-gan").iterdir()] == ["notes"]


@pytest.mark.slow
def test_it_installs_into_a_fresh_environment(tmp_path):
    """From nothing to a trained plugin, with the commands that a newcomer types."""
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GANFRAME", "VIRTUAL"))
    }
    bin = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def run(*command: object) -> str:
        found = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=outside, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (bin / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt")
    run(*pip, f"torch=={version('torch').split('+')[0]}")
    run(*pip, ROOT, *(ROOT / "plugins").glob("*/ganframe-adversarial"), *(ROOT / "plugins").glob("*/ganframe-digits"))
    run(bin / "ganframe", "plugins", "new", "my-gan")
    run(*pip, "-e", "my-gan")
    checked = run(bin / "ganframe", "plugins", "check", "my-gan")
    assert "FAIL" not in checked
    assert "ok   loss my-gan: " in checked
    run(bin / "ganframe", "train", "my-gan-digits", "--set", "train.images=2000", "--out", "run")
    assert (tmp_path / "run" / "samples.png").is_file()
    run(*pip, "pytest")
    assert " passed" in run(bin / "python", "-m", "pytest", "my-gan")


def test_a_first_party_package_is_named_like_its_neighbours(cli, tmp_path: Path) -> None:
    assert cli("plugins", "new", "my-gan", "--out", tmp_path, "--first-party").code == 0
    folder = tmp_path / "ganframe-my-gan"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "ganframe-my-gan"
    assert project["entry-points"]["ganframe"] == {"my-gan": "ganframe_my_gan"}
    assert (folder / "src" / "ganframe_my_gan" / "presets" / "my-gan-digits.yaml").is_file()
    assert "http" not in (folder / "README.md").read_text()
