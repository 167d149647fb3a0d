"""Labels as numbers and as names, and inputs of samples: what is taken, and what is refused with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shifts
import torch
from PIL import Image

from ganframe import BadInput, Experiment, train
from ganframe.config.tensor_specs import TensorSpec, describe_classes
from ganframe.data import ImageReader, as_float
from ganframe.evaluation.export import export
from ganframe.evaluation.interpolation import interpolate
from ganframe.evaluation.labels import class_numbers, parse_labels
from ganframe.evaluation.loaded_run import LoadedRun, load
from ganframe.evaluation.sample_files import folder_names
from ganframe.evaluation.translation import translate
from ganframe.plugins.discovery import installed

SPEC = TensorSpec((), 3, shifts.NAMES)


@pytest.fixture(scope="module", autouse=True)
def world() -> Iterator[None]:
    registry = installed().registry.copy()
    for cls in shifts.COMPONENTS:
        registry.add(cls, "ganframe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed(), "registry", registry)
        patch.setattr("os.fsync", lambda _file: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = Experiment(
        game=shifts.ShiftsConfig(),
        losses=("non-saturating",),
        data=shifts.Levels(),
        train={"total_images": 2, "batch_size": 2, "device": "cpu"},
        optimizers={name: {"type": "sgd", "lr": 0.0} for name in ("judge", "shift")},
        snapshot={"count": 3},
    )
    return train(experiment, out=tmp_path_factory.mktemp("runs") / "run").path


@pytest.fixture
def trained(folder: Path) -> LoadedRun:
    return load(folder, device="cpu")


def images(count: int) -> torch.Tensor:
    return torch.arange(count * 24.0).reshape(count, 1, 4, 6)


# Labels.


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 2],
        (1, 0, 2),
        ["dog", "cat", "10"],
        ["dog", 0, "10"],
        np.array([1, 0, 2]),
        np.array(["dog", "cat", "10"]),
        torch.tensor([1, 0, 2], dtype=torch.uint8),
        [np.int32(1), torch.tensor(0), 2],
    ],
)
def test_labels_are_numbers_or_names(labels: Any) -> None:
    numbers = class_numbers(labels, SPEC)
    assert numbers.tolist() == [1, 0, 2]
    assert numbers.dtype == torch.int64


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "0.0 is no label"),
        ([torch.tensor(0.5)], "is no label"),
        ([None], "None is no label"),
        ([[0], [1]], r"\[0\] is no label"),
        ("dog", "labels are a list with one class for each sample, not 'dog'"),
        (2, "labels are a list with one class for each sample, not 2"),
        ({"dog"}, "labels are a list"),
        (torch.tensor([0.0]), "0.0 is no label"),
        (torch.tensor([[0], [1]]), r"\[0\] is no label"),
        (torch.tensor(1), "labels are a list with one class for each sample, not 1"),
        (torch.tensor([True]), "True is no label"),
        ([0, 3], "labels run from 0 to 2, and 3 is none of them"),
        ([-1], "labels run from 0 to 2"),
        (["cow"], "there is no class 'cow'"),
        (["1"], "there is no class '1'"),
    ],
)
def test_what_is_no_label_is_refused(labels: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        class_numbers(labels, SPEC)


def test_what_is_typed_is_a_name_before_it_is_a_number() -> None:
    assert parse_labels(["10", "dog", "1", "0"], SPEC) == [2, 1, 1, 0]
    numbered = TensorSpec((), 12, tuple(sorted(map(str, range(12)))))
    assert parse_labels(["2", "10"], numbered) == [4, 2]  # 0, 1, 10, 11, 2, ...
    assert parse_labels(["2"], TensorSpec((), 12)) == [2]
    for text, message in (
        ("cow", "there is no class 'cow'"),
        ("3", "labels run from 0 to 2"),
        ("-1", "labels run from 0 to 2"),
        ("9" * 5000, "there is no class"),
    ):
        with pytest.raises(BadInput, match=message) as problem:
            parse_labels([text], SPEC)
        assert problem.value.remedy == "The classes are: cat, dog, 10."
    with pytest.raises(BadInput, match="there is no class 'cow'") as problem:
        parse_labels(["cow"], TensorSpec((), 12))
    assert problem.value.remedy == "Labels are whole numbers from 0 to 11."


def test_which_number_is_which_class_is_said_once_for_each() -> None:
    assert describe_classes([2, 0, 2], SPEC) == "0 is cat, 2 is 10"
    many = describe_classes(range(30), TensorSpec((), 30))
    assert many.endswith("19 is 19 and 10 more")


def test_folders_are_called_as_their_classes_where_a_file_system_can() -> None:
    names = ("a/b", "a-b", "..", "../../up", "A-B", "ok", "é" * 300, ".hidden")
    found = folder_names(range(8), TensorSpec((), 8, names))
    assert found[0] == "a-b"
    assert found[1] == "a-b-1"
    assert found[2] == "class-2"
    assert found[3] == "-..-up"
    assert found[4] == "A-B-4"
    assert found[5] == "ok"
    assert len(found[6].encode()) <= 200
    assert found[7] == "hidden"
    assert folder_names([1, 1], TensorSpec((), 2)) == {1: "1"}


# A game that makes its own label.


def test_a_label_that_the_game_makes_can_be_given(trained: LoadedRun) -> None:
    assert trained.label_spec() == ("target", SPEC)
    made = trained.sample(3, labels=["10", "cat", 1], inputs={"real": images(3)})
    assert torch.equal(made, images(3) + 100.0 * torch.tensor([2, 0, 1])[:, None, None, None])
    named = trained.sample(3, inputs={"real": images(3), "target": torch.tensor([2, 0, 1])})
    assert torch.equal(named, made)


def test_a_label_that_the_game_makes_is_its_own_where_none_is_given(trained: LoadedRun) -> None:
    found = trained.tensors(4, ("real", "label", "target", "fake"))
    assert torch.equal(found["target"], (found["label"] + 1) % 3)
    assert torch.equal(trained.sample(4), found["fake"])
    assert trained.balanced_labels(4) is None


def test_a_tuple_of_tensors_is_a_tuple_of_all_examples(trained: LoadedRun) -> None:
    found = trained.tensors(5, ["encoded"], labels=[0, 1, 2, 0, 1], inputs={"real": images(5)}, batch_size=2)
    real, target = found["encoded"]
    assert torch.equal(real, images(5))
    assert target.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "-1 samples cannot be drawn"),
        ({"count": 2.5}, "`count` is a whole number, not 2.5"),
        ({"batch_size": 0}, "a batch of 0 samples cannot be drawn"),
        ({"labels": [0.5, 0.5]}, "0.5 is no label"),
        ({"labels": [[0], [0]]}, "is no label"),
        ({"labels": ["cat", "cow"]}, "there is no class 'cow'"),
        ({"labels": "cat"}, "labels are a list"),
        ({"labels": [0]}, "2 samples were asked for, but 'target' has 1 examples"),
        ({"inputs": {"target": torch.tensor([0.5, 0.5])}}, "0.5 is no label"),
        ({"inputs": {"real": torch.zeros(2, 3, 4, 6)}}, r"'real' has the shape \(3, 4, 6\) and not \(1, 4, 6\)"),
        ({"inputs": {"real": torch.zeros(())}}, "'real' has a single number"),
        ({"inputs": {"real": torch.zeros(3, 1, 4, 6)}}, "2 samples were asked for, but 'real' has 3 examples"),
        ({"inputs": {"real": "a picture"}}, "'real' is no tensor, but str"),
        ({"inputs": {"label": [0, 1]}}, "samples of this game do not start from 'label'"),
        ({"inputs": {"reel": images(2)}}, "the game has no tensor 'reel'"),
    ],
)
def test_bad_arguments_of_samples_are_refused(trained: LoadedRun, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        trained.sample(**{"count": 2} | arguments)


def test_a_tuple_cannot_be_given(trained: LoadedRun) -> None:
    with pytest.raises(BadInput, match="'encoded' is a tuple of tensors, which cannot be given"):
        trained.tensors(2, ["fake"], inputs={"encoded": images(2)})


def test_inputs_may_be_lists_of_numbers(trained: LoadedRun) -> None:
    found = trained.sample(1, labels=[0], inputs={"real": images(1).double().tolist()})
    assert torch.equal(found, images(1))


def test_a_walk_needs_a_row_and_two_steps(trained: LoadedRun) -> None:
    for rows, steps in ((0, 2), (1, 1)):
        with pytest.raises(BadInput, match=f"{rows} rows of {steps} samples cannot be drawn"):
            interpolate(trained, rows=rows, steps=steps)


# The command line.


def test_samples_of_a_class_lie_in_its_folder(cli: Any, folder: Path, tmp_path: Path) -> None:
    outcome = cli("sample", folder, "--count", 3, "--label", "dog", "--label", "10", "--out", tmp_path / "new")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'new'}\n")
    assert outcome.err == "classes: 1 is dog, 2 is 10\n"
    found = sorted(path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.png"))
    assert found == ["10/000001.png", "dog/000000.png", "dog/000002.png"]


def test_a_label_of_no_class_is_refused_before_anything_is_drawn(cli: Any, folder: Path, tmp_path: Path) -> None:
    outcome = cli("sample", folder, "--label", "cow", "--out", tmp_path / "new")
    assert (outcome.code, outcome.out) == (2, "")
    assert "error: --label: there is no class 'cow'\n  The classes are: cat, dog, 10.\n" in outcome.err
    assert not (tmp_path / "new").exists()


def test_all_samples_in_one_file(cli: Any, folder: Path, tmp_path: Path) -> None:
    assert cli("sample", folder, "--count", 2, "--label", "dog", "--out", tmp_path / "all.npz").code == 0
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["samples"].shape == (2, 1, 4, 6)
        assert arrays["labels"].tolist() == [1, 1]


# Translation and export, without the data.


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_config: shifts.Levels) -> Any:
        raise BadInput("the data are gone")

    monkeypatch.setattr(shifts.Levels, "build", gone)


@pytest.mark.usefixtures("no_data")
def test_a_folder_is_translated_without_the_data(cli: Any, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / ".hidden").mkdir()
    for name, level in (("a.png", 0), ("a.bmp", 51), ("sub/b.jpg", 255), (".hidden/c.png", 0)):
        Image.new("RGB", (12, 12), (level,) * 3).save(source / name)
    (source / "broken.png").write_bytes(b"no image")
    (source / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    outcome = cli("translate", folder, "--input", source, "--output", out, "--to", "same", "--label", "cat")
    assert (outcome.code, outcome.out) == (0, f"{out}\n")
    assert f"left out: {source / 'broken.png'}: this is not a readable image" in outcome.err
    assert "left out: 1 files of other types: notes.txt\n" in outcome.err
    assert "left out: 1 hidden: .hidden\n" in outcome.err
    found = {path.relative_to(out).as_posix(): np.asarray(Image.open(path)) for path in out.rglob("*.png")}
    assert {name: (pixels.shape, int(pixels.mean())) for name, pixels in found.items()} == {
        "a.png.png": ((4, 6), 0),
        "a.bmp.png": ((4, 6), 51),
        "sub/b.png": ((4, 6), 255),
    }


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (6, 4), (300, 7), (5, 200)])
def test_a_single_image_of_any_mode_and_size_is_translated(
    cli: Any, folder: Path, tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    file = tmp_path / f"one.{'tif' if mode == 'CMYK' else 'png'}"
    Image.new("RGB", size, "white").convert(mode).save(file)
    out = tmp_path / "out"
    outcome = cli("translate", folder, "--input", file, "--output", out, "--to", "same")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{out}\n", "")
    (translated,) = out.iterdir()
    assert translated.name == "one.png"
    assert np.asarray(Image.open(translated)).tolist() == [[255] * 6] * 4


@pytest.mark.usefixtures("no_data")
def test_an_image_of_other_proportions_is_cut_and_not_squeezed(cli: Any, folder: Path, tmp_path: Path) -> None:
    """Black margins left and right of a white square of the wanted proportions, 4 x 6, are cut off."""
    image = Image.new("L", (20, 4), "black")
    image.paste("white", (7, 0, 13, 4))
    image.save(tmp_path / "wide.png")
    out = tmp_path / "out"
    assert cli("translate", folder, "--input", tmp_path / "wide.png", "--output", out, "--to", "same").code == 0
    assert np.asarray(Image.open(out / "wide.png")).tolist() == [[255] * 6] * 4


@pytest.mark.usefixtures("no_data")
def test_no_translation_overwrites_another(trained: LoadedRun, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for level, name in enumerate(("1.png", "1.bmp", "1.bmp.png", "2.png")):
        Image.new("L", (6, 4), 10 * level).save(tmp_path / "in" / name)
    done = list[tuple[int, int]]()
    count = translate(
        trained, tmp_path / "in", tmp_path / "out", to="same", batch_size=3, progress=lambda *each: done.append(each)
    )
    found = {path.name: int(np.asarray(Image.open(path)).mean()) for path in (tmp_path / "out").iterdir()}
    assert found == {"1.png.png": 0, "1.bmp.png": 10, "1.bmp.png.png": 20, "2.png.png": 30}
    assert (count, done) == (4, [(3, 4), (4, 4)])


@pytest.mark.usefixtures("no_data")
def test_a_folder_is_translated_to_the_class_that_is_named(trained: LoadedRun, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (6, 4), 51).save(tmp_path / "in" / "a.png")
    for label, level in (("cat", 51), ("dog", 255)):  # the first class adds nothing, the second a hundred
        assert translate(trained, tmp_path / "in", tmp_path / label, label=label) == 1
        assert np.asarray(Image.open(tmp_path / label / "a.png")).mean() == level


def test_what_cannot_be_translated_is_said(trained: LoadedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"")
    for folder, message in (("empty", "no images"), ("none", "no such folder"), ("broken", "no image can be read")):
        with pytest.raises(BadInput, match=message) as problem:
            translate(trained, tmp_path / folder, tmp_path / "out")
        assert problem.value.place == str(tmp_path / folder)
    with pytest.raises(BadInput, match="no translation 'other'") as problem:
        translate(trained, tmp_path, tmp_path / "out", to="other")
    assert problem.value.remedy == "It has: fake, same."
    monkeypatch.setattr(trained.game, "translations", (("label", "fake"),))
    with pytest.raises(BadInput, match="only images are translated, but this run translates one of 3 classes"):
        translate(trained, tmp_path, tmp_path / "out")
    monkeypatch.setattr(trained.game, "translations", ())
    with pytest.raises(BadInput, match="the game of this run translates nothing"):
        translate(trained, tmp_path, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "empty"]


def read(file: Path, channels: int, height: int, width: int) -> torch.Tensor:
    return as_float(torch.from_numpy(ImageReader((height, width), channels, crop=True).read(file)))


def test_an_image_is_cut_to_the_proportions_of_those_in_training(tmp_path: Path) -> None:
    picture = np.zeros((4, 12), dtype=np.uint8)
    picture[:, 3:9] = 255  # the middle, 4 x 6
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", 1, 4, 6).eq(1).all()
    transparent = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    transparent.save(tmp_path / "b.png")
    assert read(tmp_path / "b.png", 3, 4, 4).eq(1).all()
    Image.fromarray(np.full((4, 4), 257 * 128, dtype=np.uint16)).save(tmp_path / "c.png")
    assert read(tmp_path / "c.png", 1, 4, 4).mul(127.5).add(127.5).round().eq(128).all()
    red_on_green = np.zeros((2, 2, 3), dtype=np.uint8)
    red_on_green[0, :, 0] = red_on_green[1, :, 1] = 255
    Image.fromarray(red_on_green).save(tmp_path / "d.png")
    image = read(tmp_path / "d.png", 3, 2, 2)
    assert image.tolist() == [[[1, 1], [-1, -1]], [[-1, -1], [1, 1]], [[-1, -1], [-1, -1]]]


@pytest.mark.usefixtures("no_data")
def test_a_translator_is_exported_without_the_data(trained: LoadedRun, tmp_path: Path) -> None:
    export(trained, "shift", tmp_path / "shift.pt2")
    program = torch.export.load(tmp_path / "shift.pt2").module()
    assert torch.equal(program(images(5), torch.arange(5)), images(5) + 100.0 * torch.arange(5)[:, None, None, None])
