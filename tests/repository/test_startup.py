"""Listing, help and every plugin's module do without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

HEAVY = ("torch", "torchvision", "matplotlib", "PIL", "scipy", "transformers", "tensorboard", "wandb", "datasets")
"""Modules that only commands that work on a run may import."""

PROBE = f"""
import json, sys
def heavy():
    return [name for name in {HEAVY!r} if name in sys.modules]
"""


def probe(code: str, **environment: str) -> list[str] | dict[str, list[str]]:
    """The last line, parsed as JSON, that a fresh interpreter prints after running this code."""
    found = subprocess.run(
        [sys.executable, "-c", PROBE + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def test_importing_ganframe_is_light():
    assert probe("import ganframe; print(json.dumps(heavy()))") == []


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["presets"], ["train", "--help"], ["schema"]])
def test_a_command_that_only_lists_is_light(arguments):
    code = f"""
sys.argv = ["ganframe", *{arguments!r}]
from ganframe.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("\\n" + json.dumps(heavy()))
"""
    assert probe(code) == []


def test_every_plugin_module_is_light():
    modules = sorted(point.module for point in entry_points(group="ganframe"))
    code = f"""
import importlib
found = {{}}
for name in {modules!r}:
    importlib.import_module(name)
    found[name] = heavy()
print(json.dumps(found))
"""
    found = probe(code)
    assert isinstance(found, dict)
    before = list[str]()
    guilty = dict[str, list[str]]()
    for name, heavy in found.items():
        new = [each for each in heavy if each not in before]
        if new:
            guilty[name] = new
        before += new
    assert guilty == {}


def test_a_config_is_read_without_torch():
    """A misspelt config is refused at once, not after torch was imported."""
    code = """
sys.argv = ["ganframe", "train", "mlp-digits", "--set", "losses=[no-such-loss]"]
from ganframe.cli.main import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 2, ended.code
print(json.dumps(heavy()))
"""
    assert probe(code) == []
