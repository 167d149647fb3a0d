"""Packed images against the folder that they were packed from, and against hashes worked out with hashlib."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_folders import ImageFolder, PairedFolders
from ganframe_packed import Packed
from PIL import Image

from ganframe import Experiment, train
from ganframe.config import TensorSpec
from ganframe.data import BadInput, BatchLoader, Randomness, pack
from ganframe.data.summary import LeftOut, summarize

# A worker on fewer cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SEED, CPU = Randomness(0), torch.device("cpu")
PER_CLASS = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty random images in two classes."""
    generator = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number:02d}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def packed(source, out: Path) -> Path:
    pack(source.build(), source.spec(), out, data=source.type_name())
    return out


def batches(config, count, workers=0):
    loader = BatchLoader(config.build(), 16, SEED, CPU, workers).starting_at(0)
    return [next(loader) for _ in range(count)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("flip", [False, True])
def test_packed_images_give_the_batches_of_their_folder(photos, tmp_path, flip, workers):
    folder = ImageFolder(path=photos, resolution=(6, 8), with_labels=True)
    config = Packed(path=packed(folder, tmp_path / "packed"), flip=flip)
    assert (
        config.spec()
        == folder.spec()
        == {
            "real": TensorSpec((3, 6, 8)),
            "label": TensorSpec((), 2, ("ant", "bee")),
        }
    )
    assert_same(batches(config, 4, workers), batches(folder.model_copy(update={"flip": flip}), 4))


def test_pairs_are_packed_and_mirrored_together(photos, tmp_path):
    folders = PairedFolders(source=photos / "ant", target=photos / "bee", resolution=8, channels=1)
    config = Packed(path=packed(folders, tmp_path / "packed"), flip=True)
    assert_same(batches(config, 3), batches(folders.model_copy(update={"flip": True}), 3))


def held_out_by_hand(name: str, share: float) -> bool:
    digest = hashlib.sha256(name.removesuffix(".png").encode()).hexdigest()
    return int(digest[:16], 16) / 2**64 < share


def test_a_hash_of_the_name_decides_what_is_held_out(photos, tmp_path):
    folder = ImageFolder(path=photos, resolution=8, with_labels=True)
    config = Packed(path=packed(folder, tmp_path / "packed"), held_out_share=0.3)
    names = folder.build().file_names()
    expected = [name for name in names if held_out_by_hand(name, 0.3)]
    assert 4 <= len(expected) <= 20
    training, held_out = config.build(), config.held_out().build()
    assert held_out.file_names()[:-1] == expected
    assert training.file_names()[:-1] == [name for name in names if name not in expected]
    whole = Packed(path=tmp_path / "packed").build().fetch(range(40), SEED)
    rows = [names.index(name) for name in expected]
    given = held_out.fetch(range(len(held_out)), SEED)
    assert all(torch.equal(given[name], whole[name][rows]) for name in whole)
    assert len(training) + len(held_out) == 40
    assert config.held_out().held_out() is None
    assert summarize(training).left_out["held out, to measure with"] == LeftOut.of(expected)


def test_files_that_are_added_leave_the_others_where_they_are(photos, tmp_path):
    def held_out(name):
        folder = ImageFolder(path=photos, resolution=4)
        config = Packed(path=packed(folder, tmp_path / name), held_out_share=0.3)
        return set(config.held_out().build().file_names()[:-1])

    before = held_out("before")
    Image.new("RGB", (8, 8)).save(photos / "ant" / "added.png")
    assert held_out("after") - {"ant/added.png"} == before


@pytest.mark.parametrize(("share", "message"), [(1e-9, "holds none of the 40"), (1 - 1e-9, "holds all of the 40")])
def test_a_share_that_leaves_a_part_empty_is_refused(photos, tmp_path, share, message):
    path = packed(ImageFolder(path=photos, resolution=4), tmp_path / "packed")
    with pytest.raises(BadInput, match=message) as problem:
        Packed(path=path, held_out_share=share).build()
    assert problem.value.path == ("held_out_share",)


def test_a_share_that_holds_all_images_of_a_class_out_is_refused_with_its_name(photos, tmp_path):
    for file in [*(photos / "bee").iterdir()]:
        if not held_out_by_hand(f"bee/{file.name}", 0.3):
            file.unlink()
    path = packed(ImageFolder(path=photos, resolution=4, with_labels=True), tmp_path / "packed")
    config = Packed(path=path, held_out_share=0.3)
    for each in (config, ImageFolder(path=photos, resolution=4, with_labels=True, held_out_share=0.3)):
        with pytest.raises(BadInput, match="every example of class bee is held out") as problem:
            each.build()
        assert problem.value.path == ("held_out_share",)
    assert len(config.held_out().build()) > 0


def test_names_that_are_no_utf8_are_held_out_alike(photos, tmp_path):
    for number in range(30):
        Image.new("RGB", (4, 4)).save(os.fsencode(photos) + b"/ant/\xe9%d.png" % number, format="png")
    share = {"held_out_share": 0.3}
    path = packed(ImageFolder(path=photos, resolution=4), tmp_path / "packed")
    expected = ImageFolder(path=photos, resolution=4, **share).held_out().build()
    given = Packed(path=path, **share).held_out().build()
    assert torch.equal(given.fetch(range(len(given)), SEED)["real"], expected.fetch(range(len(expected)), SEED)["real"])
    names = [os.fsencode(name).decode(errors="backslashreplace") for name in expected.file_names()]
    assert given.file_names()[:-1] == names


def test_one_broken_file_is_counted_against_the_whole_source_in_both_splits(photos):
    share = {"held_out_share": 0.3}
    config = ImageFolder(path=photos, resolution=4, max_unreadable=0.05, **share)
    held_out = config.held_out().build().file_names()
    (photos / held_out[0]).write_text("no image")
    assert len(config.held_out().build()) == len(held_out)


def test_a_split_needs_a_share(tmp_path):
    with pytest.raises(ValueError, match="needs a `held_out_share` above 0"):
        Packed(path=tmp_path, split="held-out")


def test_what_was_left_out_is_still_named(photos, tmp_path):
    (photos / "ant" / "03.png").write_text("no image")
    folder = ImageFolder(path=photos, resolution=4, max_unreadable=0.1)
    data = Packed(path=packed(folder, tmp_path / "packed")).build()
    assert len(data) == 39
    assert "ant/03.png" not in data.file_names()
    assert summarize(data).left_out == {
        "files that cannot be read": LeftOut(1, (f"{photos / 'ant' / '03.png'} (this is not a readable image)",)),
        "files of other types": LeftOut(1, ("notes.txt",)),
    }


def test_a_worker_gets_a_copy_that_maps_the_files_again(photos, tmp_path):
    data = Packed(path=packed(ImageFolder(path=photos, resolution=64), tmp_path / "packed"), flip=True).build()
    content = pickle.dumps(data)
    assert len(content) < 5000 < data.folder.array("real").nbytes
    assert torch.equal(pickle.loads(content).fetch([3, 1], SEED)["real"], data.fetch([3, 1], SEED)["real"])


def test_bad_folders_are_refused_at_the_path(photos, tmp_path):
    for path, message in ((tmp_path / "none", "no such folder"), (photos, "no packed data")):
        for call in (Packed(path=path).spec, Packed(path=path).build):
            with pytest.raises(BadInput, match=message) as problem:
                call()
            assert problem.value.path == ("path",)


NETWORKS = {"generator": {"type": "mlp", "hidden": [8]}, "discriminator": {"type": "mlp", "hidden": [8]}}


def experiment(path: Path, images: int) -> Experiment:
    return Experiment(
        game={"type": "adversarial", "condition": "label", **NETWORKS},
        losses=["non-saturating"],
        data={"type": "packed", "path": path},
        train={"total_images": images, "batch_size": 8, "device": "cpu"},
    )


def test_a_run_goes_on_over_the_same_pixels_and_no_others(photos, tmp_path):
    def make(name):
        return packed(ImageFolder(path=photos, resolution=4, with_labels=True), tmp_path / name)

    path = make("packed")
    train(experiment(path, 16), out=tmp_path / "run")
    train(experiment(path, 16), out=tmp_path / "run", resume=True)
    make("again").rename(tmp_path / "same")
    path.rename(tmp_path / "former")
    (tmp_path / "same").rename(path)
    train(experiment(path, 16), out=tmp_path / "run", resume=True)
    path.rename(tmp_path / "same")
    Image.new("RGB", (12, 9)).save(photos / "ant" / "00.png")
    make("packed")
    with pytest.raises(BadInput, match="files of other names"):
        train(experiment(path, 16), out=tmp_path / "run", resume=True)
