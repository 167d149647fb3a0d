"""Figures that the proofs of what is promised measure; `make guarantees` writes them for the page of guarantees."""

from __future__ import annotations

import datetime
import functools
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from figures import Figures
from harness import CONFIGS, Job, Nursery, Undisturbed, lines

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "guarantees.json"

Found = dict[str, dict[str, float]]
found_key = pytest.StashKey[Found]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[found_key] = {}


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """The figures of the test's module."""
    module = Path(request.node.fspath).stem.removeprefix("test_")
    return Figures(request.config.stash[found_key].setdefault(module, {}))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Forks runs."""
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """A run of a config in `CONFIGS` that nobody disturbs."""

    @functools.cache
    def run(name: str) -> Undisturbed:
        folder = tmp_path_factory.mktemp("undisturbed")
        config, seen = folder / "config.yaml", folder / "seen"
        config.write_text(CONFIGS[name])
        ended = nursery.run(Job(("train", str(config), "--out", str(folder / "run")), seen=str(seen)))
        assert (ended.code, ended.err) == (0, "")
        return Undisturbed(config, folder / "run", lines(seen))

    return run


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not session.config.getoption("write_figures") or exitstatus != pytest.ExitCode.OK:
        return
    kept = json.loads(FILE.read_text()) if FILE.is_file() else {}
    made = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    fresh = {module: made | {"figures": values} for module, values in session.config.stash[found_key].items() if values}
    FILE.write_text(json.dumps(dict(sorted((kept | fresh).items())), indent=1) + "\n")
