"""WebDataset shards: examples and labels, which shards there are, and damaged or hostile tar files."""

import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_webdataset import WebDataset
from ganframe_webdataset.shards import find_shards
from PIL import Image

from ganframe import Experiment, train
from ganframe.config import TensorSpec
from ganframe.data import BadInput, BatchLoader, Randomness
from ganframe.data.summary import summarize

SEED = Randomness(0)


def png(level: int, size: tuple[int, int] = (6, 6)) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, level).save(stream, format="png")
    return stream.getvalue()


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def shards(folder: Path, count: int = 3, each: int = 4) -> Path:
    """Write shards whose images have their number as grey level, with labels as numbers and as JSON."""
    for at in range(count):
        members = dict[str, bytes]()
        for number in range(at * each, (at + 1) * each):
            members[f"part/{number:03d}.png"] = png(number)
            members[f"part/{number:03d}.cls"] = f"{number % 3}\n".encode()
            members[f"part/{number:03d}.json"] = json.dumps({"label": ("dog", "cat")[number % 2]}).encode()
        shard(folder / f"x-{at:02d}.tar", members)
    return folder


def levels(batch: dict[str, torch.Tensor]) -> list[int]:
    return batch["real"][:, 0, 0, 0].tolist()


# Examples.


def test_examples_are_those_of_all_shards_with_their_labels(tmp_path):
    config = WebDataset(path=shards(tmp_path), resolution=6, labels="cls")
    assert config.spec() == {"real": TensorSpec((3, 6, 6)), "label": TensorSpec((), 3)}
    data = config.build()
    assert len(data) == 12
    assert data.file_names()[3:5] == ["x-00.tar/part/003", "x-01.tar/part/004"]
    batch = data.fetch([11, 0, 7], SEED)
    assert levels(batch) == [11, 0, 7]
    assert batch["label"].tolist() == [2, 0, 1]
    assert dict(summarize(data).left_out_lines()).keys() == {"left out: 12 members of other types"}


def test_labels_of_json_that_are_names_become_classes(tmp_path):
    config = WebDataset(path=shards(tmp_path), resolution=6, labels="json")
    assert config.spec()["label"] == TensorSpec((), 2, ("cat", "dog"))
    assert config.build().fetch(range(4), SEED)["label"].tolist() == [1, 0, 1, 0]


def test_shards_are_a_file_a_folder_or_a_pattern(tmp_path):
    shards(tmp_path)
    (tmp_path / "notes.txt").write_text("no shard")
    every = [tmp_path / f"x-{number:02d}.tar" for number in range(3)]
    assert find_shards(tmp_path) == every
    assert find_shards(tmp_path / "x-{00..02}.tar") == every
    assert find_shards(tmp_path / "x-{00,02}.tar") == [every[0], every[2]]
    assert find_shards(every[1]) == [every[1]]


def test_the_image_is_chosen_by_its_extension(tmp_path):
    path = shard(tmp_path / "x.tar", {"a.jpg": png(1), "a.png": png(2), "a.seg.png": png(3)})
    assert levels(WebDataset(path=path, image="png", resolution=6).build().fetch([0], SEED)) == [2]
    with pytest.raises(BadInput, match=r"x\.tar/a has several images: \.jpg and \.png") as problem:
        WebDataset(path=path).spec()
    assert problem.value.remedy == "Choose one with `image: jpg`."


@pytest.mark.parametrize("extension", ["png", "PNG", ".png"])
def test_extensions_may_have_a_dot_and_capitals(tmp_path, extension):
    path = shard(tmp_path / "x.tar", {"a.png": png(2), "a.cls": b"1"})
    config = WebDataset(path=path, image=extension, labels=extension.replace("png", "cls").replace("PNG", "CLS"))
    assert config.spec()["label"].classes == 2


def test_a_hard_link_is_a_second_name_of_a_file(tmp_path):
    path = shard(tmp_path / "x.tar", {"a.png": png(3)})
    with tarfile.open(path, "a") as archive:
        for name, target in (("b.png", "a.png"), ("c.png", "none.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            archive.addfile(link)
    data = WebDataset(path=path, resolution=6).build()
    assert data.file_names() == ["x.tar/a", "x.tar/b"]
    assert levels(data.fetch([0, 1], SEED)) == [3, 3]
    assert list(data.left_out()["links and devices"]) == ["x.tar/c.png"]


def test_a_held_out_share_stays_the_same_when_shards_are_added(tmp_path):
    config = WebDataset(path=shards(tmp_path, count=3), held_out_share=0.4, resolution=6)
    before = {*config.held_out().build().file_names()}
    shards(tmp_path, count=6)
    after = {*config.held_out().build().file_names()}
    assert before == {name for name in after if int(name[2:4]) < 3}
    assert not after & {*config.build().file_names()}


def test_loader_workers_read_the_same_batches(tmp_path):
    data = WebDataset(path=shards(tmp_path), resolution=6, labels="cls", flip=True).build()
    copy = pickle.loads(pickle.dumps(data))
    loaders = [
        BatchLoader(each, 4, SEED, torch.device("cpu"), workers=each is data).starting_at(0) for each in (data, copy)
    ]
    for _ in range(4):
        assert torch.equal(*(next(loader)["real"] for loader in loaders))


def test_shards_train(tmp_path):
    networks = {kind: {"type": "dcgan", "channels": 4} for kind in ("generator", "discriminator")}
    data = {"type": "webdataset", "path": str(shards(tmp_path / "data")), "resolution": 8, "labels": "json"}
    run = train(
        Experiment(
            game={"type": "adversarial", "condition": "label", **networks},
            losses=["non-saturating"],
            data=data,
            train={"total_images": 8, "batch_size": 4, "device": "cpu"},
        ),
        out=tmp_path / "run",
    )
    assert '"cat"' in (run.path / "data.json").read_text()


def test_names_of_members_are_only_names(tmp_path):
    path = shard(tmp_path / "x.tar", {"../../up.png": png(1), "/absolute/root.png": png(2)})
    data = WebDataset(path=path, resolution=6).build()
    assert levels(data.fetch([0, 1], SEED)) == [1, 2]
    assert data.file_names() == ["x.tar/../../up", "x.tar//absolute/root"]
    assert [each.name for each in tmp_path.iterdir()] == ["x.tar"]


# Bad input.


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "x.tar/a has no member with the extension 'cls'"),
        ({"a.cls": b"-1"}, None),  # a name
        ({"a.cls": b""}, "it is '', neither a whole number nor a name"),
        ({"a.cls": b"\xff"}, "the label a.cls cannot be read"),
        ({"a.cls": b"99999999999"}, "is no number of a class"),
        ({"a.cls": b"1", "b.png": png(1), "b.cls": b"cat"}, "is a number, and those of others are names"),
    ],
)
def test_labels_that_are_missing_or_none_are_refused(tmp_path, labels, message):
    config = WebDataset(path=shard(tmp_path / "x.tar", {"a.png": png(1), **labels}), labels="cls")
    if message is None:
        assert config.spec()["label"].class_names == ("-1",)
        return
    with pytest.raises(BadInput, match=message) as problem:
        config.spec()
    assert problem.value.path == ("labels",)


@pytest.mark.parametrize("content", [b"[1]", b'{"class": 1}', b'{"label": true}', b"[" * 100_000, b"{"])
def test_json_without_a_label_is_refused(tmp_path, content):
    config = WebDataset(path=shard(tmp_path / "x.tar", {"a.png": png(1), "a.json": content}), labels="json")
    with pytest.raises(BadInput, match=r"the label a\.json cannot be read"):
        config.spec()


def test_a_broken_image_is_named(tmp_path):
    config = WebDataset(path=shard(tmp_path / "x.tar", {"a.png": png(1), "b.png": b"text"}))
    with pytest.raises(BadInput, match=r"x\.tar: b\.png \(this is not a readable image\)"):
        config.build()


def test_what_is_no_shard_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("no tar file" * 100)
    with tarfile.open(tmp_path / "packed.tar", "w:gz"):
        pass
    whole = shard(tmp_path / "whole.tar", {f"{name}.png": bytes(2000) for name in "abc"}).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:4000])
    (tmp_path / "damaged.tar").write_bytes(whole[:2560] + b"x" * 512 + whole[3072:])
    for name, message in (
        ("none.tar", "there is no such file"),
        ("empty", "no .tar files in this folder"),
        ("x-{00..02}.tar", "there is no such file"),
        ("text.tar", "this tar file cannot be read"),
        ("packed.tar", "this tar file cannot be read"),
        ("cut.tar", "unexpected end of data"),
        ("damaged.tar", "it is damaged at byte 2,560"),
    ):
        with pytest.raises(BadInput, match=message) as problem:
            WebDataset(path=tmp_path / name).spec()
        assert problem.value.path == ("path",)


def test_a_shard_without_its_end_or_with_more_behind_it_is_refused(tmp_path):
    """Each image takes a header and a block, 1,024 bytes; three of them end at byte 3,072."""
    members = {f"{name}.png": png(1) for name in "abc"}
    whole, other = (shard(tmp_path / f"{name}.tar", members).read_bytes() for name in ("whole", "other"))
    assert len(whole) == tarfile.RECORDSIZE
    assert len(WebDataset(path=tmp_path / "whole.tar").build()) == 3
    for name, content, message in (
        ("at-a-member", whole[:2048], "cut off at byte 2,048, without an end mark"),
        ("one-block", whole[: 3072 + 512], "cut off at byte 3,584, without an end mark"),
        ("padded", whole[:2048] + bytes(20_000), "more than 10,240 zeros follow its end mark at byte 2,048"),
        ("no-header", whole[:1024] + bytes(512) + whole[1536:], "end at byte 1,024, and there is more at byte 1,536"),
        ("joined", whole + other, "end at byte 3,072, and there is more at byte 10,240"),
    ):
        (tmp_path / f"{name}.tar").write_bytes(content)
        with pytest.raises(BadInput, match=message):
            WebDataset(path=tmp_path / f"{name}.tar").spec()
    (tmp_path / "longest.tar").write_bytes(whole[: 3072 + 1024] + bytes(tarfile.RECORDSIZE))
    assert len(WebDataset(path=tmp_path / "longest.tar").build()) == 3


def test_two_labels_of_one_example_are_refused(tmp_path):
    path = shard(tmp_path / "x.tar", {"a.png": png(1), "a.cls": b"0"})
    with tarfile.open(path, "a") as archive:
        label = tarfile.TarInfo("a.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"1"))
    with pytest.raises(BadInput, match=r"x\.tar/a has several labels"):
        WebDataset(path=path, labels="cls").spec()


def test_a_range_that_counts_down_is_refused(tmp_path):
    with pytest.raises(BadInput, match="stand for no shard") as problem:
        WebDataset(path=tmp_path / "x-{3..1}.tar").spec()
    assert problem.value.path == ("path",)


def test_a_label_far_above_the_number_of_examples_is_refused(tmp_path):
    path = shard(tmp_path / "x.tar", {"a.png": png(1), "a.cls": b"2147483647", "b.png": png(1), "b.cls": b"65535"})
    with pytest.raises(BadInput, match=r"label of x\.tar/a is 2,147,483,647, and there are 2 examples"):
        WebDataset(path=path, labels="cls").spec()
    path = shard(tmp_path / "y.tar", {"b.png": png(1), "b.cls": b"65535"})
    assert WebDataset(path=path, labels="cls").spec()["label"].classes == 65536


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    """The extended header of a sparse file of 4 GiB: tarfile would read it whole."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    path = tmp_path / "x.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(2**32 + 2048)
    with pytest.raises(BadInput, match="a header of more than 1,048,576 bytes"):
        WebDataset(path=path).spec()


def test_a_negative_size_does_not_read_for_ever(tmp_path):
    block = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2, "big")
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    (tmp_path / "x.tar").write_bytes(bytes(block) + bytes(1024))
    with pytest.raises(BadInput, match="this tar file cannot be read"):
        WebDataset(path=tmp_path / "x.tar").spec()


def test_arrays_of_any_channels_come_from_shards(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.arange(6 * 6 * 5, dtype=np.uint8).reshape(6, 6, 5))
    path = shard(tmp_path / "x.tar", {"a.npy": stream.getvalue()})
    batch = WebDataset(path=path, channels=5, resolution=6).build().fetch([0], SEED)
    assert batch["real"][0, :, 0, 0].tolist() == [0, 1, 2, 3, 4]
