"""`ganframe data`: what is packed and drawn, against Pillow and numpy."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganframe import load_config
from ganframe.data.packed_folder import PackedFolder
from ganframe.evaluation.data_look import look
from ganframe.evaluation.pictures import GAP

GAME = "{type: adversarial, generator: {type: mlp, hidden: [8]}, discriminator: {type: mlp, hidden: [8]}}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six random images in two classes, as wide as high."""
    generator = np.random.default_rng(0)
    for number in range(6):
        file = tmp_path / "photos" / ("ant" if number < 2 else "bee") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return tmp_path / "photos"


def written(tmp_path: Path, data: str, more: str = "") -> Path:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"game: {GAME}\nlosses: [non-saturating]\ndata: {data}\n{more}\n"
        "train: {total_images: 64, batch_size: 4, device: cpu}\n"
    )
    return config


# Packing.


def test_a_folder_is_packed_as_pillow_reads_it(cli, photos, tmp_path):
    out = tmp_path / "new" / "packed"
    outcome = cli("data", "pack", photos, out, "--set", "data.resolution=8", "--set", "data.with_labels=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0] == f"6 of 6 examples in {out}"
    files = sorted(photos.rglob("*.png"))
    expected = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files])
    assert np.array_equal(PackedFolder(out).array("real"), expected)
    assert PackedFolder(out).array("label").tolist() == [0, 0, 1, 1, 1, 1]
    assert PackedFolder(out).index.data == "image-folder"


def test_the_data_of_a_config_are_packed(cli, photos, tmp_path):
    config = written(tmp_path, f"{{type: image-folder, path: {photos}, resolution: 8}}")
    assert cli("data", "pack", config, tmp_path / "packed", "--set", "data.resolution=4").code == 0
    assert {name: spec.shape for name, spec in PackedFolder(tmp_path / "packed").specs.items()} == {"real": (3, 4, 4)}
    assert cli("data", "pack", "digits-of-nobody", tmp_path / "none").code == 2


def test_what_is_held_out_is_packed_too_and_held_out_again(cli, photos, tmp_path):
    data = f"{{type: image-folder, path: {photos}, resolution: 8, held_out_share: 0.5}}"
    out = tmp_path / "a, #b: 'c'"
    outcome = cli("data", "pack", written(tmp_path, data), out)
    assert outcome.out.splitlines()[0] == f"6 of 6 examples in {out}"
    config = written(tmp_path, outcome.out.splitlines()[1].partition("data:")[2].strip())
    packed, folder = load_config(str(config)).data, load_config(str(written(tmp_path, data))).data
    assert (packed.path, packed.held_out_share) == (out, 0.5)
    assert packed.build().file_names()[:-1] == folder.build().file_names()
    assert packed.held_out().build().file_names()[:-1] == folder.held_out().build().file_names()


def test_a_held_out_part_can_be_packed_alone(cli, photos, tmp_path):
    data = f"{{type: image-folder, path: {photos}, resolution: 8, held_out_share: 0.5, split: held-out}}"
    outcome = cli("data", "pack", written(tmp_path, data), tmp_path / "packed")
    assert not outcome.out.startswith("6 of 6")
    assert "held_out_share" not in outcome.out


def test_settings_that_are_no_config_say_how_to_go_on(cli, photos, tmp_path):
    config = tmp_path / "data.yaml"
    config.write_text(f"type: image-folder\npath: {photos}\n")
    refused = cli("data", "pack", config, tmp_path / "packed")
    assert refused.err.startswith(
        f"error: {config}: these are the settings of a data set alone\n  Move them under `data:`"
    )
    refused = cli("data", "pack", photos, tmp_path / "packed", "--set", "dta.resolution=3")
    assert "a folder of images has no setting 'dta'; did you mean 'data'?" in refused.err
    refused = cli("data", "pack", written(tmp_path, "{type: nothing}"), tmp_path / "packed")
    assert "nothing" in refused.err


def test_nothing_is_overwritten(cli, photos, tmp_path):
    (tmp_path / "packed").mkdir()
    outcome = cli("data", "pack", photos, tmp_path / "packed")
    assert outcome.code == 2
    assert outcome.err == f"error: {tmp_path / 'packed'}: this exists already\n  Choose another OUT.\n"


def test_mistakes_name_their_place(cli, photos, tmp_path):
    refused = cli("data", "pack", photos, tmp_path / "packed", "--set", "data.flip=true")
    assert refused.code == 2
    assert refused.err.startswith("error: --set data.flip=true: data: these data are mirrored or paired at random\n")
    refused = cli("data", "pack", photos, tmp_path / "packed", "--set", "data.resolutions=3")
    assert "--set data.resolutions=3: data.resolutions: dataset 'image-folder' has no setting" in refused.err
    assert not (tmp_path / "packed").exists()


def test_damage_is_found_with_its_place(cli, photos, tmp_path):
    out = tmp_path / "packed"
    cli("data", "pack", photos, out, "--set", "data.resolution=8")
    outcome = cli("data", "check", out)
    assert (outcome.code, outcome.out) == (0, f"sound: 6 examples, {6 * 3 * 8 * 8:,} bytes\n")
    content = bytearray((out / "real.uint8").read_bytes())
    content[700] ^= 16
    (out / "real.uint8").write_bytes(content)
    outcome = cli("data", "check", out)
    assert outcome.code == 1
    assert outcome.out == f"damaged  {out / 'real.uint8'}: examples 0 to 5\n"
    assert outcome.err.startswith("error: 1 blocks are damaged")


# Looking.


def picture(path: Path, rows: int, columns: int, side: int) -> np.ndarray:
    """The cells of a grid `(rows, columns, side, side, 3)`."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    factor = pixels.shape[0] // (rows * (side + GAP))
    cells = pixels[::factor, ::factor].reshape(rows, side + GAP, columns, side + GAP, 3)
    return cells.transpose(0, 2, 1, 3, 4)[:, :, :side, :side]


def test_a_batch_is_drawn_sorted_by_class_with_counts_and_names(cli, photos, tmp_path):
    config = written(tmp_path, f"{{type: image-folder, path: {photos}, resolution: 8, with_labels: true}}")
    (photos / "notes.txt").write_text("no image")
    outcome = cli("data", "look", config, "--out", tmp_path / "look.png", "--count", 100)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[:4] == [
        "examples: 6",
        "classes of label: 0 is ant, 1 is bee",
        "left out: 1 files of other types: notes.txt",
        "drawn, by label: 2 of ant, 4 of bee",
    ]
    assert lines[-1] == str(tmp_path / "look.png")
    columns = math.ceil(math.sqrt(6))
    drawn = picture(tmp_path / "look.png", 2, columns, 8).reshape(6, 8, 8, 3)
    files = sorted(photos.rglob("*.png"))
    pixels = {np.asarray(Image.open(file)).tobytes(): file.parent.name for file in files}
    assert [pixels[cell.tobytes()] for cell in drawn] == ["ant"] * 2 + ["bee"] * 4


def test_a_picture_is_never_overwritten(cli, photos, tmp_path):
    config = written(tmp_path, f"{{type: image-folder, path: {photos}, resolution: 8}}")
    (tmp_path / "look.png").write_text("mine")
    assert cli("data", "look", config, "--out", tmp_path / "look.png").code == 2
    assert (tmp_path / "look.png").read_text() == "mine"


def test_discriminators_see_data_through_the_augmentations(cli, tmp_path):
    data = "{type: ring, modes: 4, radius: 3}"
    config = written(tmp_path, data, "augmentations: [{type: instance-noise, sigma: 0.5}]")
    found = look(load_config(str(config)), 4000)
    noise = found.seen["real, seen by discriminator"] - found.tensors["real"]
    assert noise.shape == (4000, 2)
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    again = look(load_config(str(config)), 4000)
    assert torch.equal(again.seen["real, seen by discriminator"], found.seen["real, seen by discriminator"])
    assert look(load_config(str(config), "augmentations=[]"), 10).seen == {}
    outcome = cli("data", "look", config, "--out", tmp_path / "look.png")
    assert outcome.code == 0
    with Image.open(tmp_path / "look.png") as image:
        assert image.size[0] > 100


def test_images_as_they_are_seen_stand_beside_the_images(cli, tmp_path):
    setting = "augmentations=[{type: ada, p: 1, adapt: false, groups: [blit]}]"
    config = written(tmp_path, "digits")
    outcome = cli("data", "look", config, "--set", setting, "--out", tmp_path / "look.png", "--count", 8)
    assert outcome.code == 0
    cells = picture(tmp_path / "look.png", 4, 4, 28)
    found = look(load_config(str(config), setting), 8)
    for index in range(8):
        for place, images in enumerate((found.tensors["real"], found.seen["real, seen by discriminator"])):
            cell = cells[index // 2, 2 * (index % 2) + place, :, :, 0]
            assert np.abs(cell - ((images[index, 0].numpy() + 1) * 127.5)).max() <= 0.51
    assert not torch.equal(found.tensors["real"], found.seen["real, seen by discriminator"])


def test_the_first_batch_of_a_run_is_what_is_looked_at(tmp_path):
    config = load_config(str(written(tmp_path, "digits")))
    found = look(config, 4)
    assert found.tensors["label"].tolist() == sorted(found.tensors["label"].tolist())
    from ganframe.data.loader import BatchLoader
    from ganframe.randomness import Randomness

    randomness = Randomness(config.seed).at("data")
    batch = next(BatchLoader(config.data.build(), 4, randomness, torch.device("cpu")).starting_at(0))
    assert {image.numpy().tobytes() for image in batch["real"]} == {
        image.numpy().tobytes() for image in found.tensors["real"]
    }


def test_tensors_of_several_kinds_have_pictures_of_their_own(tmp_path):
    from ganframe.config.tensor_specs import TensorSpec
    from ganframe.data.summary import DataSummary
    from ganframe.evaluation.data_look import DataLook

    specs = {"real": TensorSpec((1, 4, 4)), "place": TensorSpec((2,)), "words": TensorSpec((5,))}
    tensors = {name: torch.rand(6, *spec.shape) for name, spec in specs.items()}
    found = DataLook(specs, DataSummary(6), tensors, {})
    files, not_drawn = found.draw(tmp_path / "look.png")
    assert [file.name for file in files] == ["look-image.png", "look-points.png"]
    assert all(file.is_file() for file in files)
    assert not_drawn == ["words"]
    with pytest.raises(Exception, match="this exists already"):
        found.draw(tmp_path / "look.png")


def test_the_benchmark_reads_the_pixels_of_the_plain_loader(tmp_path):
    file = Path(__file__).resolve().parents[1] / "benchmarks" / "data_sources.py"
    specification = importlib.util.spec_from_file_location("data_sources", file)
    assert specification is not None
    assert specification.loader is not None
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    (tmp_path / "photos").mkdir()
    benchmark.write_photos(tmp_path / "photos", 4)
    for source in benchmark.SOURCES.values():
        benchmark.check_pixels(source(tmp_path / "photos", 32, tmp_path), tmp_path / "photos", 32)
