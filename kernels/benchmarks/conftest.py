"""Benchmarks run only where they are asked for by name: `python -m pytest kernels/benchmarks`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out of whatever collects a folder above it."""
    given = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    asked = any(path == HERE or HERE in path.parents for path in given)
    return None if asked or HERE not in (collection_path, *collection_path.parents) else True
