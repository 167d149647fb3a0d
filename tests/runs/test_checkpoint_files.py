"""Checkpoints hold any state tree, and nothing that could be run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ganframe import BadInput
from ganframe.runs.checkpoint_files import _manifest, list_checkpoints, load, save


def sections(value: float = 1.0) -> dict[str, object]:
    shared = torch.full((3,), value)
    return {
        "players": {"weight": shared, "tied": shared, "count": torch.tensor(7), "strided": torch.eye(4)[:, ::2]},
        "optimizers": {"turn": {"state": {"0": {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}},
        "hooks": {"name": "text", "none": None, "flags": [True, 2, [3.5]]},
        "empty": {},
    }


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path, 12, sections(), keep=2)
    step, found = load(list_checkpoints(tmp_path)[0])
    assert step == 12
    assert torch.equal(found["players"]["tied"], torch.ones(3))
    assert torch.equal(found["players"]["strided"], torch.eye(4)[:, ::2])
    assert found["players"]["count"] == 7
    assert found["optimizers"]["turn"]["param_groups"] == [{"lr": 0.1}]
    assert found["hooks"] == sections()["hooks"]
    assert found["empty"] == {}


def test_only_the_latest_stay(tmp_path: Path) -> None:
    for step in (5, 100, 9, 1000):
        save(tmp_path, step, sections(), keep=2)
    assert [int(path.name) for path in list_checkpoints(tmp_path)] == [1000, 100]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path, 1, sections(), keep=1)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/hostname"])
def test_a_manifest_cannot_lead_elsewhere(checkpoint: Path, name: str) -> None:
    (checkpoint.parent / "secret.json").write_text("{}")
    digests = json.loads((checkpoint / "manifest.json").read_text())["files"]
    (checkpoint / "manifest.json").write_bytes(_manifest(digests | {name: "0"}))
    with pytest.raises(BadInput, match="lists a file outside of the checkpoint"):
        load(checkpoint)


def test_a_draft_is_no_checkpoint_and_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".000000003.draft").mkdir()
    assert list_checkpoints(tmp_path) == []
    assert list(tmp_path.iterdir()) == [tmp_path / ".000000003.draft"]
    saved = save(tmp_path, 4, sections(), keep=1)
    assert list(tmp_path.iterdir()) == [saved]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 1, sections(), keep=1)
    assert {file.suffix for file in checkpoint.iterdir()} == {".safetensors", ".json"}
    for file in checkpoint.glob("*.json"):
        json.loads(file.read_text())
    for file in checkpoint.iterdir():
        assert not file.read_bytes().startswith((b"\x80", b"PK"))
