"""Packed data: the bytes of the files against numpy's, hashes against hashlib, and every kind of damage."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganframe import BadInput, RunFailed
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data import packed_folder, packing
from ganframe.data.packed_folder import PackedFolder
from ganframe.data.packing import CHUNK, pack
from ganframe.data.tensor_data import TensorData
from ganframe.data.unreadable_files import UnreadableLimit, report_unreadable
from ganframe.randomness import Randomness

# A worker on fewer cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SPECS: DataSpec = {
    "real": TensorSpec((2, 3, 4)),
    "other": TensorSpec((1, 2, 2)),
    "label": TensorSpec((), 3, ("ant", "bee", "cat")),
}
COUNT = 150
"""The number of examples: more than two chunks."""


class Named(TensorData):
    """Random images of named files, some of which are broken: the next one stands in for each."""

    def __init__(self, broken: Sequence[int] = (), limit: float = 1.0, count: int = COUNT) -> None:
        generator = np.random.default_rng(0)
        self.images = generator.integers(0, 256, (count, 2, 3, 4), dtype=np.uint8)
        self.others = generator.integers(0, 256, (count, 1, 2, 2), dtype=np.uint8)
        self.labels = generator.integers(0, 3, count)
        tensors = {"real": self.images, "other": self.others, "label": self.labels}
        super().__init__({name: torch.from_numpy(values) for name, values in tensors.items()})
        self.broken, self.limit = frozenset(broken), UnreadableLimit(count, limit)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        found = list[int]()
        for index in indices:
            readable = next(place for place in range(index, len(self)) if place not in self.broken)
            for place in range(index, readable):
                report_unreadable(f"/x/{place}.png", "cut", self.limit)
            found.append(readable)
        return super().fetch(found, randomness)

    def file_names(self) -> list[str]:
        return [f"{index}{side}.png" for index in range(len(self)) for side in "ab"]

    def left_out(self) -> dict[str, list[str]]:
        return {"other files": ["notes.txt"], "no images": [f"/x/{index}.png (cut)" for index in self.broken]}


def packed(tmp_path: Path, data: TensorData | None = None, workers: int = 0) -> Path:
    pack(data or Named(), SPECS, tmp_path / "packed", data="named", workers=workers)
    return tmp_path / "packed"


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def damage_of(folder: Path) -> list[str]:
    return [place for _, place in PackedFolder(folder).find_damage() if place]


# What is written.


@pytest.mark.parametrize("workers", [0, 2])
def test_files_have_the_bytes_of_the_examples_one_after_the_other(tmp_path: Path, workers: int) -> None:
    data = Named()
    folder = packed(tmp_path, data, workers)
    assert sorted(file.name for file in folder.iterdir()) == [
        *("index.json", "label.int64", "other.uint8", "real.uint8", "sources.json")
    ]
    assert (folder / "real.uint8").read_bytes() == data.images.tobytes()
    assert (folder / "other.uint8").read_bytes() == data.others.tobytes()
    assert (folder / "label.int64").read_bytes() == data.labels.astype("<i8").tobytes()


def test_what_is_read_is_what_was_packed(tmp_path: Path) -> None:
    data = Named()
    folder = PackedFolder(packed(tmp_path, data))
    assert folder.specs == SPECS
    assert np.array_equal(folder.array("real"), data.images)
    assert np.array_equal(folder.array("label"), data.labels)
    assert not folder.array("real").flags.writeable
    assert folder.sources().files == [[f"{index}a.png", f"{index}b.png"] for index in range(COUNT)]
    assert folder.sources().left_out == {"other files": ["notes.txt"]}


def test_each_block_of_rows_has_the_hash_that_hashlib_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_BYTES", 7 * 24 + 5)  # seven images of 24 bytes, and 21 labels of 8
    folder = packed(tmp_path)
    tensors = PackedFolder(folder).index.tensors
    for name, size in (("real", 7 * 24), ("label", 21 * 8)):
        content = (folder / f"{name}.{tensors[name].dtype}").read_bytes()
        blocks = [content[start : start + size] for start in range(0, len(content), size)]
        assert list(tensors[name].sha256) == [hashlib.sha256(block).hexdigest() for block in blocks]
    assert damage_of(folder) == []


def test_an_example_larger_than_a_block_is_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_BYTES", 5)
    assert len(PackedFolder(packed(tmp_path)).index.tensors["real"].sha256) == COUNT


def test_the_hash_of_the_index_stands_for_all_that_was_packed(tmp_path: Path) -> None:
    def digest(name: str, data: TensorData) -> str:
        pack(data, SPECS, tmp_path / name, data="named")
        return PackedFolder(tmp_path / name).index.sha256

    other = Named()
    other.tensors["real"][149, 1, 2, 3] ^= 1
    assert digest("a", Named()) == digest("b", Named()) != digest("c", other)


def test_progress_comes_to_the_number_of_examples(tmp_path: Path) -> None:
    said = list[tuple[int, int]]()
    data = Named(broken=[3])
    pack(data, SPECS, tmp_path / "packed", data="named", progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (COUNT, COUNT)
    assert said == sorted(said)


@pytest.mark.parametrize("workers", [0, 1])
def test_examples_that_cannot_be_read_are_left_out_and_named(tmp_path: Path, workers: int) -> None:
    broken = [5, 6, CHUNK, 148]
    data = Named(broken)
    folder = PackedFolder(packed(tmp_path, data, workers))
    kept = [index for index in range(COUNT) if index not in broken]
    assert np.array_equal(folder.array("real"), data.images[kept])
    assert np.array_equal(folder.array("label"), data.labels[kept])
    assert [names[0] for names in folder.sources().files or []] == [f"{index}a.png" for index in kept]
    assert folder.sources().left_out == {
        "files that cannot be read": [f"/x/{index}.png (cut)" for index in broken],
        "other files": ["notes.txt"],
    }


def test_more_broken_files_than_are_allowed_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    packed(tmp_path, Named([1, 2, 3], limit=0.02))
    with pytest.raises(BadInput, match=r"4 of 150 files cannot be read, .* allows 3: /x/4.png \(cut\)") as problem:
        pack(Named([1, 2, 3, 4], limit=0.02), SPECS, tmp_path / "more", data="named")
    assert problem.value.path == ("data",)
    assert names_in(tmp_path) == ["packed"]


def test_names_that_are_no_utf8_are_kept_as_escapes(tmp_path: Path) -> None:
    class Odd(Named):
        def file_names(self) -> list[str]:
            return [os.fsdecode(b"caf\xe9.png"), *map(str, range(1, len(self)))]

    assert (PackedFolder(packed(tmp_path, Odd())).sources().files or [])[0] == ["caf\\xe9.png"]


def test_data_without_names_have_none(tmp_path: Path) -> None:
    images = torch.zeros(3, 2, 3, 4, dtype=torch.uint8)
    pack(TensorData({"real": images}), {"real": SPECS["real"]}, tmp_path / "packed", data="memory")
    assert PackedFolder(tmp_path / "packed").sources().files is None


# What cannot be packed.


@pytest.mark.parametrize(
    ("tensor", "spec", "message"),
    [
        (torch.zeros(9, 2), TensorSpec((2,)), "'real' is 2 numbers; only images and class labels can be packed"),
        (torch.zeros(9, 1, 2, 2), TensorSpec((1, 2, 2)), "'real' is torch.float32 of shape"),
        (torch.zeros(9, 1, 2, 3, dtype=torch.uint8), TensorSpec((1, 2, 2)), "'real' is torch.uint8 of shape"),
        (torch.full((9,), 4), TensorSpec((), 4), "'real' leaves 0 to 3"),
    ],
)
def test_other_tensors_are_refused(tmp_path: Path, tensor: Tensor, spec: TensorSpec, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pack(TensorData({"real": tensor}), {"real": spec}, tmp_path / "packed", data="memory")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("count", [1, 150])
def test_data_that_are_mirrored_at_random_are_refused(tmp_path: Path, count: int) -> None:
    class Mirrored(Named):
        def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
            batch = super().fetch(indices, randomness)
            flipped = randomness.uniform("flip", (len(indices), 1, 1, 1)) < 0.5
            return batch | {"real": torch.where(flipped, batch["real"].flip(-1), batch["real"])}

    with pytest.raises(BadInput, match="mirrored or paired at random"):
        packed(tmp_path, Mirrored(count=count))


def test_mirrors_that_show_in_none_of_the_examples_are_refused(tmp_path: Path) -> None:
    class Mirrored(TensorData):
        def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
            batch = super().fetch(indices, randomness)
            flipped = randomness.at("mirror").uniform("flip", (len(indices), 1, 1, 1)) < 0.5
            return {"real": torch.where(flipped, batch["real"].flip(-1), batch["real"])}

    data = Mirrored({"real": torch.zeros(9, 2, 3, 4, dtype=torch.uint8)})
    with pytest.raises(BadInput, match="mirrored or paired at random"):
        pack(data, {"real": SPECS["real"]}, tmp_path / "packed", data="memory")


def test_a_draft_of_a_killed_command_is_replaced_and_a_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / ".packed.draft").mkdir()
    (tmp_path / ".packed.draft" / "real.uint8").write_text("half")
    folder = packed(tmp_path)
    assert names_in(tmp_path) == ["packed"]
    before = (folder / "index.json").read_bytes()
    with pytest.raises(RunFailed, match="cannot be written"):
        packed(tmp_path, Named(broken=[1]))
    assert (folder / "index.json").read_bytes() == before
    assert names_in(tmp_path) == ["packed"]


# Damage.


def test_any_damaged_byte_is_found_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_BYTES", 10 * 24)
    folder = packed(tmp_path)
    file = folder / "real.uint8"
    whole = file.read_bytes()
    for place in (0, 239, 240, 1000, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        first = place // 240 * 10
        assert damage_of(folder) == [f"{file}: examples {first} to {first + 9}"]
    file.write_bytes(whole)
    assert damage_of(folder) == []


@pytest.mark.parametrize("name", ["real.uint8", "label.int64"])
@pytest.mark.parametrize("change", [-1, 1, -(10**9)])
def test_files_of_another_size_are_refused_when_the_data_are_opened(tmp_path: Path, name: str, change: int) -> None:
    folder = packed(tmp_path)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:change] if change < 0 else content + b"x")
    with pytest.raises(BadInput, match=f"{len(content):,} by the index") as problem:
        PackedFolder(folder)
    assert problem.value.place == str(folder / name)


def test_no_change_of_the_index_goes_unnoticed(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    whole, index = (folder / "index.json").read_bytes(), PackedFolder(folder).index
    for place in range(len(whole)):
        byte = (b"7", b"\x00", b" ")[place % 3]
        (folder / "index.json").write_bytes(whole[:place] + byte + whole[place + 1 :])
        try:
            assert PackedFolder(folder).index == index
        except BadInput as problem:
            assert problem.place.startswith(str(folder))
    (folder / "index.json").write_bytes(whole.replace(b'"bee"', b'"eel"'))
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder)


def test_a_name_in_the_index_leads_to_no_other_folder(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    (folder / "other.uint8").rename(tmp_path / "other.uint8")
    index = PackedFolder.__new__(PackedFolder)
    given = json.loads((folder / "index.json").read_text())["index"]
    given["tensors"]["../other"] = given["tensors"].pop("other")
    text = json.dumps(given, sort_keys=True).encode()
    (folder / "index.json").write_text(json.dumps({"sha256": hashlib.sha256(text).hexdigest(), "index": given}))
    with pytest.raises(BadInput, match="this file is damaged"):
        index.__init__(folder)


def test_changed_sources_are_refused(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    content = (folder / "sources.json").read_text()
    (folder / "sources.json").write_text(content.replace("notes.txt", "votes.txt"))
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder).sources()


def test_labels_outside_their_classes_are_refused_when_the_data_are_opened(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    labels = np.fromfile(folder / "label.int64", "<i8")
    labels[7] = 3
    labels.tofile(folder / "label.int64")
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder)


@pytest.mark.parametrize("name", ["real.uint8", "index.json"])
def test_pipes_are_refused_without_waiting(tmp_path: Path, name: str) -> None:
    folder = packed(tmp_path)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    began = time.monotonic()
    with pytest.raises(BadInput, match="it is a pipe or a device"):
        PackedFolder(folder)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("size", "name"), [("MAX_INDEX_BYTES", "index.json"), ("MAX_SOURCES_BYTES", "sources.json")])
def test_reads_have_bounds(tmp_path: Path, size: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = packed(tmp_path)
    monkeypatch.setattr(packed_folder, size, (folder / name).stat().st_size)
    PackedFolder(folder).sources()
    monkeypatch.setattr(packed_folder, size, (folder / name).stat().st_size - 1)
    with pytest.raises(BadInput, match="at most"):
        PackedFolder(folder).sources()


def test_what_is_no_packed_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such folder"):
        PackedFolder(tmp_path / "none")
    with pytest.raises(BadInput, match="no packed data") as problem:
        PackedFolder(tmp_path)
    assert "ganframe data pack" in problem.value.remedy


def test_data_of_a_later_format_are_refused(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    content = (folder / "index.json").read_text()
    (folder / "index.json").write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(BadInput, match="in format 2, and this version reads 1"):
        PackedFolder(folder)


def test_a_later_format_with_other_fields_is_named(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    (folder / "index.json").write_text(json.dumps({"sha256": "0", "index": {"format": 2, "shards": []}}))
    with pytest.raises(BadInput, match="in format 2, and this version reads 1"):
        PackedFolder(folder)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None], sources: dict[str, Any] | None = None) -> None:
    """Change the index or the sources, and give them the right hashes."""
    given = json.loads((folder / "index.json").read_text())["index"]
    if sources is not None:
        (folder / "sources.json").write_text(json.dumps(sources))
        given["sources"] = hashlib.sha256((folder / "sources.json").read_bytes()).hexdigest()
    change(given)
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps({"sha256": digest, "index": given}))


@pytest.mark.parametrize(
    "files",
    [
        [["a"]] * (COUNT - 1),
        [["a"]] * (COUNT + 1),
        [[]] * COUNT,
        [["a", "b"]] + [["a"]] * (COUNT - 1),
        [[""]] * COUNT,
        [["."]] * COUNT,
        [["/"]] * COUNT,
    ],
)
def test_names_that_are_not_those_of_the_examples_are_refused(tmp_path: Path, files: list[list[str]]) -> None:
    folder = packed(tmp_path)
    rewrite(folder, lambda given: None, {"files": [["a"]] * COUNT, "left_out": {}})
    assert len(PackedFolder(folder).sources().files or []) == COUNT
    rewrite(folder, lambda given: None, {"files": files, "left_out": {}})
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder).sources()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("real", {"shape": [24] + [1] * 70}),
        ("real", {"shape": [4, 6]}),
        ("real", {"class_names": ["a"]}),
        ("real", {"dtype": "int64", "shape": [1, 1, 3]}),
        ("label", {"dtype": "uint8", "shape": [8]}),
        ("label", {"shape": [1]}),
        ("label", {"class_names": ["a"]}),
        ("label", {"class_names": ["a", "a", "b"]}),
    ],
)
def test_tensors_that_are_never_packed_are_refused(tmp_path: Path, name: str, changed: dict[str, Any]) -> None:
    folder = packed(tmp_path)
    rewrite(folder, lambda given: given["tensors"][name].update(changed))
    if "dtype" in changed:
        file = folder / f"{name}.{'int64' if name == 'label' else 'uint8'}"
        file.rename(folder / f"{name}.{changed['dtype']}")
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder)


def test_an_index_without_tensors_is_refused(tmp_path: Path) -> None:
    folder = packed(tmp_path)
    rewrite(folder, lambda given: given["tensors"].clear())
    with pytest.raises(BadInput, match="this file is damaged"):
        PackedFolder(folder)


def test_a_pickled_copy_maps_the_files_again(tmp_path: Path) -> None:
    folder = PackedFolder(packed(tmp_path))
    content = pickle.dumps(folder)
    assert len(content) < 500
    assert np.array_equal(pickle.loads(content).array("real"), folder.array("real"))
