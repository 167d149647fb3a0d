"""Zip and npz files: the same examples as in a folder, classes, what is left out, and bad input."""

import pickle
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_archives import ArrayFile, ImageZip
from ganframe_archives.zip_files import list_zip
from ganframe_folders import ImageFolder
from PIL import Image
from pydantic import ValidationError

from ganframe import Experiment, train
from ganframe.config import TensorSpec
from ganframe.data import BadInput, BatchLoader, Randomness
from ganframe.data.identity import DataIdentity, identify
from ganframe.data.summary import summarize

SEED = Randomness(0)
CPU = torch.device("cpu")


def pictures(folder: Path) -> Path:
    """Save images of several sizes, modes and formats in two class folders."""
    noise = np.random.default_rng(0)
    for number in range(6):
        file = folder / ("cat", "dog")[number % 2] / f"{number}{('.png', '.jpg')[number // 3]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (20 + number, 30, 3), np.uint8)).save(file)
    np.save(folder / "cat" / "array.npy", noise.integers(0, 256, (9, 9, 3), np.uint8))
    (folder / "notes.txt").write_text("no image")
    (folder / "cat" / ".hidden.png").write_text("no image")
    return folder


def zipped(folder: Path, file: Path, prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return file


def small_run(data: dict[str, object], folder: Path) -> None:
    networks = {kind: {"type": "dcgan", "channels": 4} for kind in ("generator", "discriminator")}
    train(
        Experiment(
            game={"type": "adversarial", **networks},
            losses=["non-saturating"],
            data=data,
            train={"total_images": 8, "batch_size": 4, "device": "cpu"},
        ),
        out=folder,
    )
    assert list((folder / "checkpoints").iterdir())


# Zip files.


@pytest.mark.parametrize("prefix", ["", "photos/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_gives_the_same_batches_as_its_folder(tmp_path, prefix, method):
    path = zipped(pictures(tmp_path / "photos"), tmp_path / "photos.zip", prefix, method)
    settings = {"with_labels": True, "resolution": (8, 12), "flip": True, "held_out_share": 0.3}
    configs = ImageZip(path=path, **settings), ImageFolder(path=tmp_path / "photos", **settings)
    for mine, other in (configs, [config.held_out() for config in configs]):
        assert mine.spec() == other.spec()
        data, folder = mine.build(), other.build()
        assert data.file_names() == folder.file_names()
        for epoch in range(3):
            batches = [each.fetch(range(len(folder)), SEED.at(epoch)) for each in (data, folder)]
            assert torch.equal(batches[0]["real"], batches[1]["real"])
            assert torch.equal(batches[0]["label"], batches[1]["label"])


def test_the_only_class_of_a_zip_is_that_of_its_folder(tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / "photos" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / "photos" / "cat" / name)
    path = zipped(tmp_path / "photos", tmp_path / "photos.zip")
    mine, folder = (
        kind(path=each, with_labels=True) for kind, each in ((ImageZip, path), (ImageFolder, path.parent / "photos"))
    )
    assert mine.spec() == folder.spec()
    assert mine.spec()["label"].class_names == ("cat",)
    assert mine.build().file_names() == folder.build().file_names() == ["cat/1.png", "cat/2.png"]
    assert ImageZip(path=path).build().file_names() == ["1.png", "2.png"]


def test_an_image_beside_the_classes_is_named_with_the_folder_around_it(tmp_path):
    folder = pictures(tmp_path / "photos")
    Image.new("L", (8, 8)).save(folder / "alone.png")
    with pytest.raises(BadInput, match=r"alone\.png is in no class subfolder") as problem:
        ImageZip(path=zipped(folder, tmp_path / "x.zip", "photos/"), with_labels=True).spec()
    assert problem.value.place == f"{tmp_path / 'x.zip'}: photos/"


def test_a_zip_trains(tmp_path):
    path = zipped(pictures(tmp_path / "photos"), tmp_path / "photos.zip")
    small_run({"type": "image-zip", "path": str(path), "resolution": 8}, tmp_path / "run")


def test_loader_workers_read_the_same_zip(tmp_path):
    path = zipped(pictures(tmp_path / "photos"), tmp_path / "photos.zip")
    data = ImageZip(path=path, resolution=8).build()
    data.fetch([0], SEED)  # opens the file before the worker is forked
    copy = pickle.loads(pickle.dumps(data))
    loaders = [BatchLoader(each, 4, SEED, CPU, workers=each is data).starting_at(0) for each in (data, copy)]
    for _ in range(4):
        assert torch.equal(*(next(loader)["real"] for loader in loaders))


def test_what_is_no_example_is_named_by_its_reason(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("../up.png", "/root.png", "a/../b.png", "__MACOSX/._a.png", "a/.b.png", "notes.txt"):
            archive.writestr(name, b"anything")
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate name"):
            for _ in range(2):
                archive.writestr("a/good.png", (pictures(tmp_path / "p") / "cat" / "0.png").read_bytes())
    data = ImageZip(path=tmp_path / "x.zip", resolution=8).build()
    assert data.file_names() == ["good.png"]
    assert {reason: list(each.names) for reason, each in summarize(data).left_out.items()} == {
        "members whose names are no relative paths": ["../up.png", "/root.png", "a/../b.png"],
        "hidden": ["__MACOSX/._a.png", "a/.b.png"],
        "files of other types": ["notes.txt"],
        "links": ["link.png"],
        "members of the same name as another": ["a/good.png"],
    }
    assert sorted(each.name for each in tmp_path.iterdir()) == ["p", "x.zip"]  # nothing was extracted


def test_of_members_with_one_name_the_first_that_is_an_image_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ganframe_archives.zip_files.LARGEST_MEMBER", 200)
    link = zipfile.ZipInfo("b.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for level in (10, 20):
        Image.new("L", (8, 8), level).save(tmp_path / f"{level}.png")
    first, second = ((tmp_path / f"{level}.png").read_bytes() for level in (10, 20))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.png", first)
        archive.writestr("a.png", second)
        archive.writestr(link, first)
        archive.writestr("b.png", second)
        archive.writestr("c.png", first)
        archive.writestr("c.png", second + bytes(200))
    data = ImageZip(path=tmp_path / "x.zip", resolution=8).build()
    for copy in (data, pickle.loads(pickle.dumps(data))):
        assert copy.fetch(range(3), SEED)["real"][:, 0, 0, 0].tolist() == [10, 20, 10]


def test_a_member_that_unpacks_to_more_than_the_limit_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("ganframe_archives.zip_files.LARGEST_MEMBER", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1001))
        archive.writestr("a.png", b"x")
    assert list_zip(tmp_path / "x.zip").left_out == {"members of more than 1,000 bytes": ["bomb.png"]}


def test_a_broken_member_is_named_and_replaced(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "dog" / "broken.png").write_bytes(b"no image")
    path = zipped(folder, tmp_path / "photos.zip")
    with pytest.raises(BadInput, match=r"1 of 8 files cannot be read.*photos\.zip: dog/broken\.png \(this is not a"):
        ImageZip(path=path, resolution=8).build()
    data = ImageZip(path=path, resolution=8, max_unreadable=0.2).build()
    first, broken = data.file_names().index("dog/broken.png"), data.file_names().index("cat/0.png")
    assert torch.equal(*(data.fetch([index], SEED)["real"] for index in (first, broken)))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"text", "not a zip file"), ("empty", "no images in this zip")]
)
def test_what_is_no_zip_of_images_is_refused(tmp_path, content, message):
    path = tmp_path / "x.zip"
    if content == "empty":
        zipfile.ZipFile(path, "w").close()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as problem:
        ImageZip(path=path).spec()
    assert problem.value.path == ("path",)
    assert problem.value.place == str(path)


# Npz files.


def arrays(path: Path, **given: np.ndarray) -> Path:
    np.savez_compressed(path, **given)
    return path


IMAGES = np.random.default_rng(1).integers(0, 256, (10, 8, 12, 4), np.uint8)


def test_an_npz_gives_its_images_and_labels(tmp_path):
    names = np.array(["cat", "dog", "eel"])
    path = arrays(tmp_path / "x.npz", images=IMAGES, y=np.arange(10)[:, None] % 2, names=names)
    config = ArrayFile(path=path, resolution=(8, 12), channels=4, labels="y", class_names="names")
    assert config.spec() == {"real": TensorSpec((4, 8, 12)), "label": TensorSpec((), 3, ("cat", "dog", "eel"))}
    batch = config.build().fetch([7, 2], SEED)
    assert batch["real"].tolist() == IMAGES[[7, 2]].transpose(0, 3, 1, 2).tolist()
    assert batch["label"].tolist() == [1, 0]


def test_grey_arrays_have_one_channel_and_are_resized(tmp_path):
    levels = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None] * 50, (5, 9, 11))
    config = ArrayFile(path=arrays(tmp_path / "x.npz", images=levels), resolution=6, channels=1)
    batch = config.build().fetch(range(5), SEED)["real"]
    assert batch.shape == (5, 1, 6, 6)
    assert batch.flatten(1).float().var(dim=1).tolist() == [0] * 5
    assert batch[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]


def test_a_share_of_the_arrays_is_held_out(tmp_path):
    path = arrays(tmp_path / "x.npz", images=IMAGES)
    config = ArrayFile(path=path, channels=4, resolution=8, held_out_share=0.5)
    train_names, held_out_names = config.build().file_names(), config.held_out().build().file_names()
    assert sorted(map(int, train_names + held_out_names)) == list(range(10))
    assert 2 <= len(held_out_names) <= 8


def test_a_run_notices_other_pixels_and_labels_of_an_npz(tmp_path):
    settings = {"path": tmp_path / "x.npz", "labels": "y", "channels": 4, "resolution": 8}

    def now(images: np.ndarray, labels: np.ndarray) -> DataIdentity:
        arrays(tmp_path / "x.npz", images=images, y=labels)
        config = ArrayFile(**settings)
        return identify(config.build(), config.spec())

    numbers = np.arange(10) % 2
    before = now(IMAGES, numbers)
    assert before.changes(now(IMAGES, numbers)) == []
    assert before.changes(now(255 - IMAGES, numbers)) == ["other content under the same names"]
    assert before.changes(now(IMAGES, 1 - numbers)) == ["other class labels of the same examples"]


def test_an_npz_trains(tmp_path):
    path = arrays(tmp_path / "x.npz", images=IMAGES)
    small_run({"type": "npz", "path": str(path), "channels": 4, "resolution": [8, 12]}, tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "settings", "message", "place"),
    [
        ({"x": IMAGES}, {}, "'images is not a file in the archive'", ()),
        ({"images": IMAGES}, {}, "have 4 channels, and `channels` is 3", ("images",)),
        ({"images": IMAGES.astype(np.float32)}, {"channels": 4}, "save it as uint8", ("images",)),
        ({"images": IMAGES[..., None]}, {"channels": 4}, "one is no image", ("images",)),
        ({"images": IMAGES, "y": np.arange(9)}, {"channels": 4, "labels": "y"}, "9 labels for 10 images", ("labels",)),
        ({"images": IMAGES, "y": np.arange(10.0)}, {"channels": 4, "labels": "y"}, "not whole numbers", ("labels",)),
        ({"images": IMAGES, "y": -np.arange(10)}, {"channels": 4, "labels": "y"}, "not whole numbers", ("labels",)),
        (
            {"images": IMAGES, "y": np.arange(10), "n": np.array(["a"])},
            {"channels": 4, "labels": "y", "class_names": "n"},
            "not a text for each class",
            ("class_names",),
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, given, settings, message, place):
    with pytest.raises(BadInput, match=message) as problem:
        ArrayFile(path=arrays(tmp_path / "x.npz", **given), **settings).build()
    assert problem.value.path == place


def test_names_of_classes_without_labels_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="`class_names` are those of `labels`, which is missing"):
        ArrayFile(path=tmp_path / "x.npz", class_names="names")


def test_the_remedy_for_channels_fits_the_axes(tmp_path):
    for images, remedy in (
        (IMAGES[..., 0], "Set `channels: 1`."),
        (IMAGES, "Set `channels: 4`; of an array (N, C, H, W), save the transpose (0, 2, 3, 1)."),
    ):
        with pytest.raises(BadInput, match="and `channels` is 3") as problem:
            ArrayFile(path=arrays(tmp_path / "x.npz", images=images)).build()
        assert problem.value.remedy == remedy


@pytest.mark.parametrize("label", [np.int64(2**63 - 1), np.uint64(2**63), np.int64(2**16)])
def test_a_label_far_above_the_number_of_images_is_refused(tmp_path, label):
    labels = np.array([0] * 9 + [label], dtype=label.dtype)
    config = ArrayFile(path=arrays(tmp_path / "x.npz", images=IMAGES, y=labels), labels="y", channels=4)
    for use in (config.spec, config.build):
        with pytest.raises(BadInput, match=f"the label of 9 is {label:,}, and there are 10 examples") as problem:
            use()
        assert problem.value.path == ("labels",)


def test_objects_in_an_npz_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadInput, match="allow_pickle=False"):
        ArrayFile(path=tmp_path / "x.npz").build()
