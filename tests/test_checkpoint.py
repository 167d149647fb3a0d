"""Checkpoints hold any state tree, notice every changed byte, and are never half there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ganframe import BadInput
from ganframe.checkpoint import complete, load, load_latest, save


def rooms(value: float = 1.0) -> dict[str, object]:
    shared = torch.full((3,), value)
    return {
        "players": {"weight": shared, "tied": shared, "count": torch.tensor(7), "strided": torch.eye(4)[:, ::2]},
        "optimizers": {"turn": {"state": {"0": {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}},
        "hooks": {"name": "text", "none": None, "flags": [True, 2, [3.5]]},
        "empty": {},
    }


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path, 12, rooms(), keep=2)
    step, found = load(complete(tmp_path)[0])
    assert step == 12
    assert torch.equal(found["players"]["tied"], torch.ones(3))
    assert torch.equal(found["players"]["strided"], torch.eye(4)[:, ::2])
    assert found["players"]["count"] == 7
    assert found["optimizers"]["turn"]["param_groups"] == [{"lr": 0.1}]
    assert found["hooks"] == rooms()["hooks"]
    assert found["empty"] == {}


def test_only_the_latest_stay(tmp_path: Path) -> None:
    for step in (5, 100, 9, 1000):
        save(tmp_path, step, rooms(), keep=2)
    assert [int(path.name) for path in complete(tmp_path)] == [1000, 100]


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 1, rooms(), keep=1)
    generator = torch.Generator().manual_seed(0)
    for file in sorted(checkpoint.iterdir()):
        whole = file.read_bytes()
        for _ in range(10):
            place = int(torch.randint(len(whole), (), generator=generator))
            broken = bytearray(whole)
            broken[place] ^= 1 << int(torch.randint(8, (), generator=generator))
            file.write_bytes(broken)
            with pytest.raises(BadInput):
                load(checkpoint)
        file.write_bytes(whole[:-1])
        with pytest.raises(BadInput):
            load(checkpoint)
        file.write_bytes(whole)
    load(checkpoint)


def test_the_last_whole_one_is_found_behind_a_damaged_one(tmp_path: Path) -> None:
    save(tmp_path, 1, rooms(1.0), keep=5)
    (save(tmp_path, 2, rooms(2.0), keep=5) / "players.safetensors").write_bytes(b"")
    first, second = load_latest(tmp_path)
    assert isinstance(first, BadInput)
    assert "000000002" in str(first)
    assert not isinstance(second, BadInput)
    assert second[0] == 1


def test_a_draft_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / ".000000003.draft").mkdir()
    assert complete(tmp_path) == []


def test_nothing_is_pickled(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 1, rooms(), keep=1)
    assert {file.suffix for file in checkpoint.iterdir()} == {".safetensors", ".json"}
    for file in checkpoint.glob("*.json"):
        json.loads(file.read_text())
    for file in checkpoint.iterdir():
        assert not file.read_bytes().startswith((b"\x80", b"PK"))
