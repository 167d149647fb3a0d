"""Saved data sets of Hugging Face: rows, splits, labels with their names, and bad input."""

import pickle
import sys

import datasets
import numpy as np
import pytest
import torch
from ganframe_huggingface import HuggingFace
from PIL import Image
from pydantic import ValidationError

from ganframe import Experiment, train
from ganframe.config import TensorSpec
from ganframe.data import BadInput, BatchLoader, Randomness

SEED = Randomness(0)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """Keep what the library writes out of the home folder."""
    config = getattr(datasets, "config", None)
    if config is not None:
        monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def rows(count, start=0, **columns):
    """Return a data set of images whose grey level is their number, in two classes."""
    images = [Image.new("L", (9, 6), start + number) for number in range(count)]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    values = {"image": images, "label": [number % 2 for number in range(count)]}
    for name, (dtype, given) in columns.items():
        features[name], values[name] = datasets.Value(dtype), given
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


def saved(folder, data):
    data.save_to_disk(str(folder))
    return folder


def levels(batch):
    return batch["real"][:, 0, 0, 0].tolist()


def test_rows_are_examples_and_class_labels_have_their_names(tmp_path):
    config = HuggingFace(path=saved(tmp_path / "x", rows(7)), resolution=(6, 9), channels=1, labels="label")
    assert config.spec() == {"real": TensorSpec((1, 6, 9)), "label": TensorSpec((), 2, ("cat", "dog"))}
    data = config.build()
    batch = data.fetch([6, 0, 3], SEED)
    assert levels(batch) == [6, 0, 3]
    assert batch["label"].tolist() == [0, 0, 1]
    assert data.file_names() == [*map(str, range(7))]


def test_a_split_can_be_held_out(tmp_path):
    splits = datasets.DatasetDict({"train": rows(5), "test": rows(3, start=50)})
    config = HuggingFace(path=saved(tmp_path / "x", splits), resolution=6, held_out_split="test", labels="label")
    held_out = config.held_out()
    assert (len(config.build()), len(held_out.build())) == (5, 3)
    assert levels(held_out.build().fetch(range(3), SEED)) == [50, 51, 52]
    assert held_out.held_out() is None
    assert held_out.spec() == config.spec()


def test_a_share_can_be_held_out(tmp_path):
    config = HuggingFace(path=saved(tmp_path / "x", rows(40)), resolution=6, held_out_share=0.25)
    names = [*config.build().file_names(), *config.held_out().build().file_names()]
    assert sorted(names, key=int) == [*map(str, range(40))]


def test_parquet_files_are_chosen_by_the_split(tmp_path):
    (tmp_path / "data").mkdir()
    for name, each in (("train-0", rows(2)), ("train-1", rows(3, start=2)), ("test-0", rows(4, start=50))):
        each.to_parquet(str(tmp_path / "data" / f"{name}.parquet"))
    config = HuggingFace(path=tmp_path, resolution=6, held_out_split="test")
    assert levels(config.build().fetch(range(5), SEED)) == [0, 1, 2, 3, 4]
    assert levels(config.held_out().build().fetch(range(4), SEED)) == [50, 51, 52, 53]
    alone = HuggingFace(path=tmp_path / "data" / "test-0.parquet", resolution=6)
    assert len(alone.build()) == 4


def test_loader_workers_read_the_same_rows(tmp_path):
    data = HuggingFace(path=saved(tmp_path / "x", rows(6)), resolution=6, flip=True).build()
    copy = pickle.loads(pickle.dumps(data))
    loaders = [
        BatchLoader(each, 4, SEED, torch.device("cpu"), workers=each is data).starting_at(0) for each in (data, copy)
    ]
    for _ in range(3):
        assert torch.equal(*(next(loader)["real"] for loader in loaders))


def test_rows_train(tmp_path):
    networks = {kind: {"type": "dcgan", "channels": 4} for kind in ("generator", "discriminator")}
    run = train(
        Experiment(
            game={"type": "adversarial", "condition": "label", **networks},
            losses=["non-saturating"],
            data={
                "type": "huggingface",
                "path": str(saved(tmp_path / "x", rows(6))),
                "resolution": [8, 12],
                "labels": "label",
            },
            train={"total_images": 8, "batch_size": 4, "device": "cpu"},
        ),
        out=tmp_path / "run",
    )
    assert '"dog"' in (run.path / "data.json").read_text()


# Bad input.


def test_the_missing_library_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    path = saved(tmp_path / "x", rows(2))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match="needs the package `datasets`") as problem:
        HuggingFace(path=path).spec()
    assert problem.value.remedy == 'pip install "ganframe-huggingface[datasets]"'


@pytest.mark.parametrize(
    ("settings", "message", "place"),
    [
        ({"image": "label"}, "'label' is no column of images", ("image",)),
        ({"image": "picture"}, "'picture' is no column of images", ("image",)),
        ({"dataset_split": "dev"}, "there is no split 'dev'", ("dataset_split",)),
        ({"labels": "class"}, "there is no column 'class'", ("labels",)),
        ({"labels": "name"}, "'name' is no column of labels", ("labels",)),
        ({"labels": "minus"}, "'minus' is no column of labels", ("labels",)),
    ],
)
def test_columns_and_splits_that_do_not_fit_are_refused(tmp_path, settings, message, place):
    data = rows(2, name=("string", ["a", "b"]), minus=("int64", [-1, 0]))
    path = saved(tmp_path / "x", datasets.DatasetDict({"train": data}))
    with pytest.raises(BadInput, match=message) as problem:
        HuggingFace(path=path, **settings).spec()
    assert problem.value.path == place


def test_whole_numbers_are_labels_without_names(tmp_path):
    path = saved(tmp_path / "x", rows(3, number=("int64", [2, 0, 2])))
    assert HuggingFace(path=path, labels="number").spec()["label"] == TensorSpec((), 3)


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.parquet").write_bytes(np.zeros(100, np.uint8).tobytes())
    (tmp_path / "dev").mkdir()
    rows(1).to_parquet(str(tmp_path / "dev" / "dev-0.parquet"))
    for name, message in (
        ("none", "no such file or folder"),
        ("empty", "this folder holds no data set"),
        ("dev", "no Parquet files whose names begin with 'train'"),
        ("x.parquet", "this data set cannot be read"),
    ):
        with pytest.raises(BadInput, match=message):
            HuggingFace(path=tmp_path / name).spec()


@pytest.mark.parametrize(
    "settings", [{"held_out_split": "test", "held_out_share": 0.1}, {"held_out_split": "train"}, {"split": "held-out"}]
)
def test_contradictory_splits_are_refused(settings):
    with pytest.raises(ValidationError):
        HuggingFace(path="x", **settings)
