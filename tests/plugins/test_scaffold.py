"""`ganframe plugins new` writes a package that installs, passes the conformance kit and trains."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import ganframe
from ganframe.config.component import Component
from ganframe.config.presets import load_config
from ganframe.plugins.discovery import installed
from ganframe.testing import run_checks
from ganframe.testing.fakes import FakeData
from ganframe.testing.runs import train_whole_and_resumed

ROOT = Path(__file__).resolve().parents[2]
COMMON = ["README.md", "pyproject.toml", "tests/test_conformance.py"]


@dataclass(frozen=True)
class Expected:
    """The contents of a package of a kind.

    Attributes:
        modules: Its modules beside `__init__.py`.
        kinds: The kinds of its components.
        preset: The name of its preset.
        dependencies: The packages that its preset uses.
    """

    modules: list[str]
    kinds: set[str]
    preset: str
    dependencies: set[str]


PLAIN_GAN = {"ganframe-adversarial", "ganframe-digits", "ganframe-minimax", "ganframe-mlp"}
EXPECTED = {
    "default": Expected(
        ["losses", "networks"],
        {"generator", "discriminator", "loss"},
        "my-gan-digits",
        {"ganframe-adversarial", "ganframe-digits"},
    ),
    "game": Expected(["game"], {"game"}, "my-gan-digits", PLAIN_GAN - {"ganframe-adversarial"}),
    "network": Expected(["networks"], {"generator", "discriminator"}, "my-gan-digits", PLAIN_GAN - {"ganframe-mlp"}),
    "loss": Expected(["losses"], {"loss"}, "my-gan-digits", PLAIN_GAN - {"ganframe-minimax"}),
    "regularizer": Expected(["regularizer"], {"regularizer"}, "my-gan-digits", PLAIN_GAN),
    "metric": Expected(["metric"], {"metric"}, "my-gan-digits", PLAIN_GAN),
    "data": Expected(["dataset"], {"dataset"}, "my-gan", PLAIN_GAN - {"ganframe-digits"}),
    "logger": Expected(["logger"], {"logger"}, "my-gan-digits", PLAIN_GAN),
}


@pytest.fixture
def kind():
    """The kind of the new package; tests of all kinds replace it."""
    return "default"


each_kind = pytest.mark.parametrize("kind", EXPECTED)


@pytest.fixture
def scaffold(cli, tmp_path, kind):
    """The folder of a new package."""
    option = () if kind == "default" else ("--kind", kind)
    outcome = cli("plugins", "new", "my-gan", "--out", tmp_path, *option)
    folder = tmp_path / "my-gan"
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"wrote    {folder}",
        f"install  pip install -e {folder}",
        "check    ganframe plugins check my-gan",
        f"train    ganframe train {EXPECTED[kind].preset}",
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
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH", "")))))
    installed.cache_clear()
    yield scaffold
    for module in [name for name in sys.modules if name.split(".")[0] == "my_gan"]:
        del sys.modules[module]
    installed.cache_clear()


@each_kind
def test_its_files(scaffold, kind):
    expected = EXPECTED[kind]
    files = sorted(str(path.relative_to(scaffold)) for path in scaffold.rglob("*") if path.is_file())
    modules = [f"src/my_gan/{name}.py" for name in ("__init__", *expected.modules)]
    assert files == sorted([*COMMON, *modules, f"src/my_gan/presets/{expected.preset}.yaml"])
    for name in files:
        text = (scaffold / name).read_text()
        assert "$" not in text, f"{name} has a placeholder left"
    project = tomllib.loads((scaffold / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-gan"
    assert project["entry-points"] == {"ganframe": {"my-gan": "my_gan"}}
    assert set(project["dependencies"]) == {"ganframe", "typing-extensions>=4.12", *expected.dependencies}


@each_kind
def test_its_dependencies_are_the_packages_that_its_preset_uses(installed_scaffold, kind):
    expected = EXPECTED[kind]
    assembled = load_config(expected.preset)
    parts = [assembled.game, assembled.data, *assembled.losses, *assembled.regularizers]
    parts += [network for _, network in assembled.game if isinstance(network, Component)]
    owners = {installed().registry.packages[part.kind, part.type_name()] for part in parts}
    assert owners - {"my-gan"} == expected.dependencies


@each_kind
@pytest.mark.parametrize(
    "command",
    [["check", "--select", "E,F,I,B,UP,D1", "--ignore", "D107"], ["format", "--check"]],
    ids=["lint", "format"],
)
def test_it_is_clean(scaffold, command):
    arguments = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "src"]
    found = subprocess.run(arguments, cwd=scaffold, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@each_kind
def test_it_passes_the_conformance_kit(installed_scaffold, kind):
    results = list(run_checks("my-gan"))
    assert {result.name: result.error for result in results if result.error} == {}
    assert {result.name.split(":")[0] for result in results} == {f"{each} my-gan" for each in EXPECTED[kind].kinds}


@each_kind
def test_its_preset_trains(installed_scaffold, cli, tmp_path, kind):
    out = tmp_path / "run"
    smaller = ("train.total_images=200", "train.batch_size=20", "snapshot.count=10")
    overrides = [word for setting in smaller for word in ("--set", setting)]
    if kind == "metric":
        overrides += ["--set", "evaluate.metrics.0.samples=20"]
    outcome = cli("train", EXPECTED[kind].preset, *overrides, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert ganframe.load(out).sample(2).shape == ((2, 2) if kind == "data" else (2, 1, 28, 28))
    if kind == "metric":
        measured = json.loads((out / "metrics.jsonl").read_text())
        assert measured["my-gan/distance"] > 0
    if kind == "regularizer":
        assert "discriminator/my-gan" in json.loads((out / "scalars.jsonl").read_text())
    if kind == "logger":
        rows = [row.split(",") for row in (out / "my-gan.csv").read_text().splitlines()]
        assert {step for step, _, _ in rows} == {"10"}
        assert "generator/non-saturating" in {name for _, name, _ in rows}


@pytest.mark.parametrize("kind", ["logger"])
def test_a_new_logger_drops_the_rows_after_the_checkpoint_of_a_resumed_run(installed_scaffold, tmp_path):
    settings = ("train.total_images=80", "train.batch_size=10", "loggers.1.every=1", "checkpoint.every_images=30")
    experiment = load_config("my-gan-digits", *settings)
    train_whole_and_resumed(experiment, tmp_path, stop_after=5)  # resumes after step 3
    whole, resumed = ((tmp_path / run / "my-gan.csv").read_text() for run in ("whole", "resumed"))
    assert whole == resumed


@pytest.mark.parametrize("kind", ["metric"])
def test_a_new_metric_is_the_distance_of_moments(installed_scaffold):
    metric = installed().registry.find("metric", "my-gan")().build(FakeData())
    # Means 1 and 4, standard deviations 1 and 2 in the first number; the second number is the same on both sides.
    real, fake = torch.tensor([[0.0, 7.0], [2.0, 7.0]]), torch.tensor([[2.0, 7.0], [6.0, 7.0]])
    metric.update({"real": real, "fake": fake})
    assert metric.compute() == {"distance": pytest.approx((1 - 4) ** 2 + (1 - 2) ** 2)}


@pytest.mark.parametrize("kind", ["data"])
def test_a_new_data_set_is_a_spiral(installed_scaffold):
    points = installed().registry.find("dataset", "my-gan")(noise=0.0, points=500).build().tensors["real"]
    radius = points.norm(dim=1) * 7.5
    assert float(radius.min()) >= 1.5 * math.pi
    assert float(radius.max()) <= 4.5 * math.pi
    on_spiral = torch.stack([radius * radius.cos(), radius * radius.sin()], dim=1) / 7.5
    torch.testing.assert_close(points, on_spiral, rtol=0, atol=1e-4)


def test_its_configs_say_what_they_are(installed_scaffold, cli):
    listed = cli("plugins").out
    assert "my-gan (my-gan) Fully connected layers from a latent to a sample." in listed
    assert "my-gan-digits" in cli("presets").out


@pytest.mark.slow
@pytest.mark.parametrize("first_party", [False, True], ids=["", "first-party"])
def test_packages_of_all_kinds_pass_the_type_checker(cli, tmp_path, first_party):
    """In the mode of this repository, each package with its own root."""
    for kind in EXPECTED:
        option = ("--first-party",) if first_party else ()
        assert cli("plugins", "new", f"my-{kind}", "--out", tmp_path, "--kind", kind, *option).code == 0
    sources = sorted(map(str, tmp_path.glob("*/src")))
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["basedpyright"]
    config = {name: value for name, value in rules.items() if name.startswith(("report", "typeChecking"))}
    roots = [{"root": source, "extraPaths": [source, str(ROOT)]} for source in sources]
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps(config | {"include": sources, "executionEnvironments": roots})
    )
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson", "-p", tmp_path]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert found["generalDiagnostics"] == []
    assert found["summary"]["filesAnalyzed"] == sum(1 + len(expected.modules) for expected in EXPECTED.values())


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


@pytest.mark.parametrize(
    ("name", "kind", "owner"),
    [
        ("weight-clipping", "network", "ganframe-wasserstein"),
        ("wgan-clipping", "loss", "ganframe-wasserstein"),
        ("cycle", "game", "ganframe-cyclegan"),
        ("r1", "regularizer", "ganframe-gradient-penalties"),
        ("mode-coverage", "metric", "ganframe-gaussians"),
        ("ring", "data", "ganframe-gaussians"),
        ("jsonl", "logger", "ganframe"),
    ],
)
def test_a_name_that_a_package_has_already_for_the_kind(cli, tmp_path, name, kind, owner):
    outcome = cli("plugins", "new", name, "--kind", kind, "--out", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"the name {name!r} is taken by {owner}" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_kind_is_free(cli, tmp_path):
    assert cli("plugins", "new", "r1", "--kind", "metric", "--out", tmp_path).code == 0
    assert (tmp_path / "r1" / "src" / "r1" / "metric.py").is_file()


def test_a_kind_that_no_package_has(cli, tmp_path):
    outcome = cli("plugins", "new", "my-gan", "--kind", "novel", "--out", tmp_path)
    assert outcome.code == 2
    assert all(kind in outcome.err for kind in EXPECTED)


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


@each_kind
def test_a_first_party_package_is_like_its_neighbours(cli, tmp_path, kind):
    assert cli("plugins", "new", "my-gan", "--out", tmp_path, "--first-party", "--kind", kind).code == 0
    folder = tmp_path / "ganframe-my-gan"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "ganframe-my-gan"
    assert project["entry-points"]["ganframe"] == {"my-gan": "ganframe_my_gan"}
    assert (folder / "src" / "ganframe_my_gan" / "presets" / f"{EXPECTED[kind].preset}.yaml").is_file()
    assert "http" not in (folder / "README.md").read_text()
    # By the rules of this repository, in which the core is first-party code.
    rules = ("--config", ROOT / "pyproject.toml", "--config", f"src = ['{ROOT}']", "--no-cache")
    for command in (["check"], ["format", "--check"]):
        arguments = [sys.executable, "-m", "ruff", *command, *rules, folder / "src"]
        found = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr
