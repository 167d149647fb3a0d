"""`ganframe augment`: image folders of samples, by a generator that draws cats black and dogs white."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ganframe import BadInput, Experiment, LoadedRun, load, train
from ganframe.config.tensor_specs import TensorSpec
from ganframe.evaluation.augment_folder import augment
from ganframe.evaluation.loaded_run import MAX_BATCH

SIZES = {"cat": 5, "dog": 2, "emu": 4}


def settings(home: Path, **game: Any) -> dict[str, Any]:
    """A conditional game over a folder with so many images of each class, whose generator does not train."""
    generator = {"type": "mlp", "latent": 2, "hidden": []}
    return {
        "game": {
            "type": "adversarial",
            "generator": generator,
            "discriminator": {"type": "mlp", "hidden": [4]},
            **game,
        },
        "losses": ["non-saturating"],
        "data": {
            "type": "image-folder",
            "path": str(home / "images"),
            "with_labels": True,
            "resolution": 4,
            "channels": 1,
        },
        "optimizers": {"generator": {"type": "adam", "lr": 0}},
        "train": {"total_images": 4, "batch_size": 4, "device": "cpu"},
        "snapshot": {"count": 3},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images, and a run on them."""
    home = tmp_path_factory.mktemp("home")
    for name, count in SIZES.items():
        (home / "images" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), 40 * number).save(home / "images" / name / f"{number}.png")
    # The columns are two latents, which do nothing, then the classes: cats are -1, dogs 1, emus 0.
    weights = torch.tensor([0.0, 0, -20, 20, 0]).expand(16, 5).contiguous()
    save_file({"layers.0.weight": weights, "layers.0.bias": torch.zeros(16)}, home / "weights.safetensors")
    source = {"generator": {"file": str(home / "weights.safetensors")}}
    train(Experiment.model_validate(settings(home, condition="label") | {"init_from": source}), out=home / "zoo")
    return home


@pytest.fixture
def zoo(home: Path) -> LoadedRun:
    return load(home / "zoo", device="cpu")


def counted(folder: Path) -> dict[str, int]:
    return {each.name: len(list(each.iterdir())) for each in sorted(folder.iterdir())}


def test_each_class_has_its_samples_in_a_folder_of_its_name(zoo: LoadedRun, tmp_path: Path) -> None:
    assert augment(zoo, tmp_path / "more", per_class=3) == {"cat": 3, "dog": 3, "emu": 3}
    assert counted(tmp_path / "more") == {"cat": 3, "dog": 3, "emu": 3}
    levels = {"cat": 0, "dog": 255, "emu": 128}
    for file in (tmp_path / "more").rglob("*.png"):
        assert np.asarray(Image.open(file)).tolist() == [[levels[file.parent.name]] * 4] * 4


def test_small_classes_are_filled_up_to_the_largest(zoo: LoadedRun, tmp_path: Path) -> None:
    assert augment(zoo, tmp_path / "more", balance=True) == {"cat": 0, "dog": 3, "emu": 1}
    assert counted(tmp_path / "more") == {"dog": 3, "emu": 1}


def test_only_the_classes_that_are_named_are_drawn(zoo: LoadedRun, tmp_path: Path) -> None:
    assert augment(zoo, tmp_path / "more", per_class=2, labels=["emu", 1, "emu"]) == {"dog": 2, "emu": 2}
    assert augment(zoo, tmp_path / "few", balance=True, labels=["emu"]) == {"emu": 1}


def test_a_run_trains_on_the_images_together_with_the_samples(home: Path, zoo: LoadedRun, tmp_path: Path) -> None:
    augment(zoo, tmp_path / "images", per_class=2, seed=7)
    names = sorted(file.name for file in (tmp_path / "images").rglob("*.png"))
    assert [name[:-13] for name in names] == [f"zoo-seed7-00000{number}" for number in range(6)]
    for name in SIZES:
        for file in (home / "images" / name).iterdir():
            (tmp_path / "images" / name / file.name).write_bytes(file.read_bytes())
    again = Experiment.model_validate(settings(tmp_path, condition="label"))
    assert again.data.spec()["label"].class_names == ("cat", "dog", "emu")
    assert again.data.build().labels()["label"].bincount().tolist() == [7, 4, 6]  # pyright: ignore
    train(again, out=tmp_path / "run")


def test_the_seed_decides_the_samples_and_batches_are_drawn_one_by_one(
    zoo: LoadedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    generator = zoo.players["generator"]
    generator.layers[0].weight[:, :2] = 1.0  # pyright: ignore  # the latents count
    generator.register_forward_hook(lambda _module, given, _output: sizes.append(len(given[0])))
    steps: list[tuple[int, int]] = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        augment(zoo, tmp_path / out, per_class=3, labels=["emu"], seed=seed, progress=lambda *done: steps.append(done))
    content = {
        out: [file.read_bytes() for file in sorted((tmp_path / out / "emu").iterdir())] for out in ("a", "b", "c")
    }
    assert content["a"] == content["b"] != content["c"]
    assert len(set(content["a"])) == 3
    assert sizes == [3, 3, 3]
    assert steps == [(3, 3)] * 3
    sizes.clear()
    augment(zoo, tmp_path / "d", per_class=5)
    assert sizes == [4, 4, 4, 3]
    assert max(sizes) <= MAX_BATCH


def test_no_sample_is_held_out(home: Path, tmp_path: Path) -> None:
    run = load(home / "zoo", device="cpu")
    data = run.experiment.data.model_copy(update={"held_out_share": 0.5})
    run.experiment = run.experiment.model_copy(update={"data": data})
    augment(run, tmp_path / "more", per_class=20)
    names = [file.relative_to(tmp_path / "more").with_suffix("").as_posix() for file in tmp_path.rglob("*.png")]
    assert len(names) == 60
    assert all(int(hashlib.sha256(name.encode()).hexdigest()[0], 16) >= 8 for name in names)


def test_other_samples_of_the_same_seed_have_other_names(zoo: LoadedRun, tmp_path: Path) -> None:
    zoo.players["generator"].layers[0].weight[:, :2] = 1.0  # pyright: ignore  # the latents count
    augment(zoo, tmp_path / "first", per_class=3, labels=["emu"])
    augment(zoo, tmp_path / "second", per_class=2)
    first, second = ({file.name for file in (tmp_path / name / "emu").iterdir()} for name in ("first", "second"))
    assert not first & second


def test_folders_have_the_exact_names_of_the_classes(home: Path, tmp_path: Path) -> None:
    def renamed(*names: str) -> LoadedRun:
        run = load(home / "zoo", device="cpu")
        run.game.data["label"] = TensorSpec((), 3, names)  # pyright: ignore
        return run

    augment(renamed("a:b", "c?", " d."), tmp_path / "more", per_class=1)
    assert counted(tmp_path / "more") == {"a:b": 1, "c?": 1, " d.": 1}
    for name in ("..", ".", "a/b", "x" * 256):
        with pytest.raises(BadInput, match=re.escape(f"no folder can have the name of the class {name!r}")):
            augment(renamed("cat", "dog", name), tmp_path / "bad", per_class=1)
        assert not (tmp_path / "bad").exists()


def test_samples_may_be_transparent(home: Path, tmp_path: Path) -> None:
    config = settings(home, condition="label")
    config["data"]["channels"] = 4
    run = train(Experiment.model_validate(config), out=tmp_path / "run")
    assert augment(load(run.path, device="cpu"), tmp_path / "more", per_class=1, labels=["cat"]) == {"cat": 1}
    (file,) = (tmp_path / "more").rglob("*.png")
    with Image.open(file) as image:
        assert image.mode == "RGBA"


def test_nothing_is_overwritten(zoo: LoadedRun, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    with pytest.raises(BadInput, match="this exists already"):
        augment(zoo, tmp_path / "more", per_class=1)
    assert not list((tmp_path / "more").iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "by `per_class` or by `balance`"),
        ({"per_class": 2, "balance": True}, "by `per_class` or by `balance`"),
        ({"per_class": 0}, "0 samples of each class cannot be drawn"),
        ({"per_class": 2, "labels": ["cow"]}, "there is no class 'cow'"),
        ({"balance": True, "labels": ["cat"]}, "these classes are as large as the largest one"),
    ],
)
def test_what_cannot_be_counted_is_refused(given: Any, message: str, zoo: LoadedRun, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        augment(zoo, tmp_path / "more", **given)
    assert not (tmp_path / "more").exists()


def test_a_run_without_a_class_to_choose_is_refused(home: Path, tmp_path: Path) -> None:
    train(Experiment.model_validate(settings(home)), out=tmp_path / "run")
    with pytest.raises(BadInput, match="the classes of this run's samples cannot be chosen") as problem:
        augment(load(tmp_path / "run", device="cpu"), tmp_path / "more", per_class=1)
    assert "condition: label" in problem.value.remedy


def test_samples_that_are_no_images_are_refused(tmp_path: Path) -> None:
    config = settings(tmp_path, condition="label") | {"data": {"type": "ring", "samples": 50}}
    config["game"]["generator"] = {"type": "mlp", "latent": 2, "hidden": [], "output": "linear"}
    run = train(Experiment.model_validate(config), out=tmp_path / "run")
    with pytest.raises(BadInput, match="this run's samples are 2 numbers"):
        augment(load(run.path, device="cpu"), tmp_path / "more", per_class=1)
    assert not (tmp_path / "more").exists()


def test_the_command_says_how_many_samples_each_class_has(home: Path, tmp_path: Path, cli: Any) -> None:
    out = tmp_path / "new" / "more"
    outcome = cli("augment", home / "zoo", "--balance", "--out", out, "--label", "dog", "--label", "2")
    assert (outcome.code, outcome.out) == (0, f"{out}\n")
    assert "samples: 3 of dog, 1 of emu" in outcome.err
    assert counted(out) == {"dog": 3, "emu": 1}
    again = cli("augment", home / "zoo", "--balance", "--out", out)
    assert (again.code, "this exists already" in again.err) == (2, True)


@pytest.mark.parametrize("options", [[], ["--per-class", "2", "--balance"]])
def test_the_command_wants_one_way_to_count(home: Path, tmp_path: Path, cli: Any, options: list[str]) -> None:
    outcome = cli("augment", home / "zoo", "--out", tmp_path / "more", *options)
    assert outcome.code == 2
    assert "--per-class or by --balance" in outcome.err
