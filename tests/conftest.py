"""Shared fixtures."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from ganframe.api import train
from ganframe.cli.main import main
from ganframe.config.presets import load_config
from ganframe.plugins.discovery import installed


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


CommandLine = Callable[..., Outcome]
FakePlugin = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-figures", action="store_true", help="write what the tests of the guarantees measure for their page"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests cache out of the cache of the user."""
    if "GANFRAME_CACHE" not in os.environ:  # else this is a process of xdist, which has that of its parent
        folder = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        os.environ["GANFRAME_CACHE"] = folder.name


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs `ganframe` with these arguments, in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ganframe", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def fake_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlugin]:
    """Installs a package with one module and one entry point, for the length of a test."""
    site = tmp_path / "site"
    modules = list[str]()

    def install(name: str, source: str, *, distribution: str = "", presets: dict[str, str] | None = None) -> None:
        module, distribution = name.replace("-", "_"), distribution or name
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[ganframe]\n{name} = {module}\n" if file.tell() == 0 else f"{name} = {module}\n")
        package = site / module
        package.mkdir()
        (package / "__init__.py").write_text(dedent(source))
        for preset, text in (presets or {}).items():
            (package / f"{preset}.yaml").write_text(text)
        modules.append(module)
        installed.cache_clear()

    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield install
    for module in modules:
        sys.modules.pop(module, None)
    installed.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def _unregister_types() -> Iterator[None]:
    """Takes back the types that the tests of a module registered, so that no other module finds them installed."""
    registry = installed().registry.copy()
    yield
    installed().registry = registry


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """Looks the plugins up anew in this test, and again after it."""
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run of four steps on digits, to be read only."""
    folder = tmp_path_factory.mktemp("runs")
    config = folder / "config.yaml"
    config.write_text(
        dedent(
            """\
            summary: "Four steps <script>alert('x')</script> & more"
            game:
              type: adversarial
              generator: {type: mlp, latent: 8, hidden: [16]}
              discriminator: {type: mlp, hidden: [16]}
              condition: label
            losses: [non-saturating]
            data: digits
            train: {images: 64, batch_size: 16, device: cpu, ema: {half_life_images: 100}}
            snapshot: {count: 20}
            loggers: [{type: jsonl, every: 1}]
            """
        )
    )
    return train(load_config(str(config)), out=folder / "run").path
