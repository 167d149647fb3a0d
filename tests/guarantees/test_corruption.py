"""Checkpoints hold any state tree, notice every changed byte, and are never half there."""

from __future__ import annotations

import errno
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ganframe import BadInput
from ganframe import checkpoint as checkpoint_module
from ganframe.checkpoint import _manifest, complete, load, load_latest, save


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


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint whose files of tensors have several pages."""
    state = rooms() | {"big": {"weight": torch.arange(5000.0)}}
    return save(tmp_path, 1, state, keep=1)


def _flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _zero_a_page(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content)) // 4096 * 4096
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))


def _truncate(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


@pytest.mark.parametrize(("damage", "times"), [(_flip, 200), (_zero_a_page, 50), (_truncate, 50)])
def test_all_damage_is_noticed_and_named(
    checkpoint: Path, damage: Callable[[bytearray, random.Random], None], times: int
) -> None:
    chance = random.Random(0)
    files = sorted(checkpoint.iterdir())
    unnoticed = list[str]()
    for number in range(times):
        file = files[number % len(files)]
        whole = file.read_bytes()
        content = bytearray(whole)
        damage(content, chance)
        file.write_bytes(content)
        try:
            load(checkpoint)
        except BadInput as problem:
            assert problem.place == str(file)
        else:
            unnoticed.append(f"{damage.__name__} {file.name}")
        file.write_bytes(whole)
    assert not unnoticed
    load(checkpoint)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/hostname"])
def test_a_manifest_cannot_lead_elsewhere(checkpoint: Path, name: str) -> None:
    (checkpoint.parent / "secret.json").write_text("{}")
    digests = json.loads((checkpoint / "manifest.json").read_text())["files"]
    (checkpoint / "manifest.json").write_bytes(_manifest(digests | {name: "0"}))
    with pytest.raises(BadInput, match="lists what lies elsewhere"):
        load(checkpoint)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails; and once there is room again, saving works as before."""
    writes = len(list(save(tmp_path, 1, rooms(1.0), keep=2).iterdir()))
    write = checkpoint_module._write
    for fails in range(writes):
        left = [fails]

        def full(path: Path, content: bytes, left: list[int] = left) -> None:
            if left[0] == 0:
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            left[0] -= 1
            write(path, content)

        monkeypatch.setattr(checkpoint_module, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 2, rooms(2.0), keep=2)
        monkeypatch.setattr(checkpoint_module, "_write", write)
        assert [load(path)[0] for path in complete(tmp_path)] == [1]
        assert len(list(tmp_path.iterdir())) == 1, "half a checkpoint was left behind"
    save(tmp_path, 2, rooms(2.0), keep=2)
    assert [load(path)[0] for path in complete(tmp_path)] == [2, 1]


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
