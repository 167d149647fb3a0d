"""Folders of images: the examples they give, the conversion of images, and the errors for bad input."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_folders import ImageFolder, PairedFolders, UnpairedFolders
from PIL import Image

from ganframe.config import TensorSpec
from ganframe.data import BadInput, BatchLoader, Randomness
from ganframe.data.summary import LeftOut, summarize

SEED = Randomness(0)


def save(path: Path, colour="red", size=(10, 10), mode="RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def shades(folder: Path, count: int, suffix=".png") -> None:
    """Save images whose grey level is their number."""
    for number in range(count):
        save(folder / f"{number:03d}{suffix}", (number, number, number), (6, 6))


def numbers(images) -> list[int]:
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def only(config):
    """Return the single image of a folder as uint8."""
    image = config.build().fetch([0], SEED)["real"][0]
    return ((image + 1) * 127.5).round().to(torch.uint8)


# Names of files.


def test_files_are_named_relative_to_their_folders_in_the_order_of_the_examples(tmp_path):
    for name in ("b/2.png", "a/3.png", "a/1.png"):
        save(tmp_path / "source" / name)
        save(tmp_path / "target" / name)
    source, target = tmp_path / "source", tmp_path / "target"
    names = ["a/1.png", "a/3.png", "b/2.png"]
    assert ImageFolder(path=source).build().file_names() == names
    pairs = PairedFolders(source=source, target=target, max_unreadable=1).build()
    assert pairs.file_names() == [name for each in names for name in (each, each)]
    (target / "a" / "1.png").unlink()
    assert UnpairedFolders(a=source, b=target).build().file_names() == [*names, *names[1:]]


# Examples.


def test_image_folder(tmp_path):
    shades(tmp_path / "x", 3)
    shades(tmp_path / "y", 2)
    config = ImageFolder(path=tmp_path, resolution=8)
    assert config.spec()["real"].shape == (3, 8, 8)
    assert list(config.spec()) == ["real"]
    data = config.build()
    assert len(data) == 5
    batch = data.fetch([2, 0], SEED)
    assert batch["real"].shape == (2, 3, 8, 8)
    assert batch["real"].dtype == torch.float32
    assert numbers(batch["real"]) == [2, 0]


def test_labels_are_class_subfolders_by_name(tmp_path):
    for name, count in (("dog", 2), ("ant", 3), ("cat/young", 1)):
        shades(tmp_path / name, count)
    config = ImageFolder(path=tmp_path, labels=True)
    assert config.spec()["label"] == TensorSpec((), 3, ("ant", "cat", "dog"))
    assert config.build().fetch(range(6), SEED)["label"].tolist() == [0, 0, 0, 1, 2, 2]


def test_a_class_whose_name_cannot_be_printed_is_refused(tmp_path):
    shades(tmp_path / "bell\a", 1)
    with pytest.raises(BadInput, match=r"'bell\\x07' is no name of a class") as problem:
        ImageFolder(path=tmp_path, with_labels=True).spec()
    assert problem.value.path == ("with_labels",)


def test_oblong_images_are_cut_or_squeezed_to_their_proportions(tmp_path):
    picture = np.zeros((4, 12, 3), dtype=np.uint8)
    picture[:, 3:9] = 255  # the middle, 4 x 6
    Image.fromarray(picture).save(tmp_path / "wide.png")
    cut = ImageFolder(path=tmp_path, resolution=(8, 12), channels=1)
    assert cut.spec()["real"] == TensorSpec((1, 8, 12))
    assert (only(cut) == 255).all()
    squeezed = only(ImageFolder(path=tmp_path, resolution=(4, 12), channels=1, crop="none"))
    assert squeezed.tolist() == [[[0] * 3 + [255] * 6 + [0] * 3] * 4]
    upright = only(ImageFolder(path=tmp_path, resolution=(8, 2), channels=1))  # 4 x 1 in the middle
    assert upright.shape == (1, 8, 2)
    assert (upright == 255).all()


def test_pairs_are_matched_by_stem(tmp_path):
    shades(tmp_path / "s" / "sub", 4)
    shades(tmp_path / "t" / "sub", 4, ".bmp")
    config = PairedFolders(source=tmp_path / "s", target=tmp_path / "t", resolution=4, channels=1)
    assert {name: spec.shape for name, spec in config.spec().items()} == {"source": (1, 4, 4), "target": (1, 4, 4)}
    batch = config.build().fetch([3, 1], SEED)
    assert numbers(batch["source"]) == numbers(batch["target"]) == [3, 1]


def test_domains(tmp_path):
    shades(tmp_path / "a", 5)
    shades(tmp_path / "b", 9)
    data = UnpairedFolders(a=tmp_path / "a", b=tmp_path / "b", resolution=4).build()
    assert len(data) == 5
    seen = set()
    for at in range(20):
        batch = data.fetch(range(5), SEED.at(at))
        assert numbers(batch["real_a"]) == [0, 1, 2, 3, 4]
        seen |= set(numbers(batch["real_b"]))
    assert seen == set(range(9))
    again, first = (data.fetch([0, 1, 2], SEED.at(3)) for _ in range(2))
    assert torch.equal(first["real_b"], again["real_b"])


@pytest.mark.parametrize(
    "suffix", [".PNG", ".jfif", ".jpe", ".avif", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"]
)
def test_formats(tmp_path, suffix):
    formats = {".jfif": "JPEG", ".jpe": "JPEG"}
    save(tmp_path / f"x{suffix}", (255, 255, 255), format=formats.get(suffix))
    assert only(ImageFolder(path=tmp_path, resolution=4)).min() > 250


def test_hidden_and_other_files_are_left_out(tmp_path):
    save(tmp_path / "x.png")
    save(tmp_path / ".thumbnails" / "x.png")
    save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("not an image")
    assert len(ImageFolder(path=tmp_path).build()) == 1


def test_links_to_folders_and_files_are_followed_and_none_leads_in_a_circle(tmp_path):
    shades(tmp_path / "elsewhere" / "cats", 3)
    shades(tmp_path / "data" / "dogs", 2)
    (tmp_path / "data" / "cats").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "data" / "dogs" / "one.png").symlink_to(tmp_path / "elsewhere" / "cats" / "000.png")
    (tmp_path / "data" / "dogs" / "again").symlink_to("..")
    (tmp_path / "data" / "self").symlink_to("self")
    config = ImageFolder(path=tmp_path / "data", with_labels=True)
    assert config.spec()["label"].class_names == ("cats", "dogs")
    data = config.build()
    assert data.labels()["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert summarize(data).left_out == {
        "links back to a folder around them": LeftOut(1, ("dogs/again",)),
        "links that lead nowhere": LeftOut(1, ("self",)),
    }


def test_whatever_is_left_out_is_named_by_its_reason(tmp_path):
    shades(tmp_path / "ant", 2)
    (tmp_path / "bee" / "wings").mkdir(parents=True)
    for name in ("ant/a.txt", "ant/b.mp4", "ant/c", "ant/d.heic", "ant/.x.png", "bee/wings/notes.md"):
        (tmp_path / name).write_text("no image")
    os.mkfifo(tmp_path / "ant" / "pipe.png")
    (tmp_path / "ant" / "broken.png").write_text("no image")
    (tmp_path / "ant" / "gone.png").symlink_to("nowhere.png")
    data = ImageFolder(path=tmp_path, with_labels=True, max_unreadable=0.5).build()
    summary = summarize(data)
    assert summary.examples == 4
    unreadable = summary.left_out.pop("files that cannot be read (the next in order stands in for each)")
    assert unreadable.count == 2
    assert unreadable.names[0] == f"{tmp_path / 'ant' / 'broken.png'} (this is not a readable image)"
    assert dict(summary.left_out_lines()) == {
        "left out: 5 files of other types": "ant/a.txt, ant/b.mp4, ant/c and 2 more",
        "left out: 1 hidden": "ant/.x.png",
        "left out: 1 pipes, sockets and devices": "ant/pipe.png",
        "left out: 1 folders without images": "bee",
    }


def test_what_is_left_out_of_two_folders_has_their_names(tmp_path):
    for folder in ("s", "t"):
        shades(tmp_path / folder, 1)
        (tmp_path / folder / "a.txt").write_text("no image")
    pairs = PairedFolders(source=tmp_path / "s", target=tmp_path / "t").build()
    domains = UnpairedFolders(a=tmp_path / "s", b=tmp_path / "t").build()
    for data in (pairs, domains):
        names = (str(tmp_path / "s" / "a.txt"), str(tmp_path / "t" / "a.txt"))
        assert summarize(data).left_out == {"files of other types": LeftOut(2, names)}


def test_which_number_is_which_class_is_said(tmp_path):
    for number in range(12):
        shades(tmp_path / str(number), 1)
    config = ImageFolder(path=tmp_path, with_labels=True)
    names = sorted(map(str, range(12)))
    said = dict(summarize(config.build()).lines(config.spec()))
    assert said == {
        "examples": "12",
        "classes of label": ", ".join(f"{number} is {name}" for number, name in enumerate(names)),
    }
    assert said["classes of label"].startswith("0 is 0, 1 is 1, 2 is 10, 3 is 11, 4 is 2, ")


# Geometry.


def halves(path: Path, size=(40, 20)) -> None:
    """Save an image that is black on the left and white on the right."""
    image = Image.new("L", size, 0)
    image.paste(255, (size[0] // 2, 0, *size))
    image.save(path)


def test_centre_crop_keeps_the_middle(tmp_path):
    image = Image.new("L", (60, 20), 0)
    image.paste(255, (20, 0, 40, 20))
    image.save(tmp_path / "x.png")
    assert only(ImageFolder(path=tmp_path, resolution=4, channels=1)).min() == 255
    squeezed = only(ImageFolder(path=tmp_path, resolution=6, channels=1, crop="none"))[0, 0]
    assert squeezed[:2].max() < 40
    assert squeezed[2:4].min() > 200
    assert squeezed[4:].max() < 40


def test_small_images_are_enlarged(tmp_path):
    save(tmp_path / "x.png", (9, 99, 199), (1, 1))
    assert only(ImageFolder(path=tmp_path, resolution=16)).flatten(1).unique(dim=1).flatten().tolist() == [9, 99, 199]


def test_resizing_averages(tmp_path):
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkers).save(tmp_path / "x.png")
    small = only(ImageFolder(path=tmp_path, resolution=8, channels=1))
    assert (small.float() - 127.5).abs().max() < 4


def test_flips_are_seeded_and_fair(tmp_path):
    halves(tmp_path / "x.png", (20, 20))
    data = ImageFolder(path=tmp_path, resolution=4, channels=1, flip=True).build()
    batch = data.fetch([0] * 200, SEED)["real"]
    mirrored = (batch[:, 0, 0, 0] > 0).float()
    assert 0.35 < mirrored.mean() < 0.65
    assert torch.equal(batch, data.fetch([0] * 200, SEED)["real"])
    assert not torch.equal(batch, data.fetch([0] * 200, SEED.at(1))["real"])


def test_pairs_are_mirrored_together(tmp_path):
    for folder in ("s", "t"):
        (tmp_path / folder).mkdir()
        halves(tmp_path / folder / "x.png", (20, 20))
    data = PairedFolders(source=tmp_path / "s", target=tmp_path / "t", resolution=4, flip=True).build()
    batch = data.fetch([0] * 50, SEED)
    assert torch.equal(batch["source"], batch["target"])
    assert len(batch["source"].flatten(1).unique(dim=0)) == 2


# Modes.


def test_exif_orientation_is_followed(tmp_path):
    halves(tmp_path / "upright.png", (20, 20))
    image = Image.open(tmp_path / "upright.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 270 degrees counterclockwise to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    batch = ImageFolder(path=tmp_path, resolution=4, channels=1).build().fetch([0, 1], SEED)["real"]
    assert torch.equal(batch[0], batch[1])


def test_transparency_becomes_white(tmp_path):
    save(tmp_path / "rgba.png", (255, 0, 0, 0), mode="RGBA")
    assert only(ImageFolder(path=tmp_path)).min() == 255


def test_half_transparent_black_is_grey(tmp_path):
    save(tmp_path / "la.png", (0, 128), mode="LA")
    assert only(ImageFolder(path=tmp_path)).unique().tolist() == [127]


def test_transparent_palette_colour_becomes_white(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "p.png", transparency=1)
    assert only(ImageFolder(path=tmp_path)).min() == 255


def test_palette(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "p.png")
    assert only(ImageFolder(path=tmp_path))[:, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (65535, 255), (257 * 77, 77)])
@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits(tmp_path, value, expected, suffix, channels):
    Image.fromarray(np.full((8, 8), value, dtype=np.uint16)).save(tmp_path / f"x.{suffix}")
    assert only(ImageFolder(path=tmp_path, channels=channels)).unique().tolist() == [expected]


def test_pixels_of_32_bits_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 200, dtype=np.int32)).save(tmp_path / "x.tif")
    with Image.open(tmp_path / "x.tif") as image:
        assert image.mode == "I"
    assert "no known range; save the image with 8 or 16 bits" in refused(ImageFolder(path=tmp_path).build).message


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_values_of_8_bits_in_16_do_not_come_out_black(tmp_path, suffix):
    picture = np.zeros((8, 24), dtype=np.uint16)
    picture[:, :8] = 255  # outside of the part that is cut out
    Image.fromarray(picture).save(tmp_path / f"x.{suffix}")
    problem = refused(lambda: ImageFolder(path=tmp_path).build().fetch([0], SEED))
    assert "its pixels of 16 bits are all below 256, which is black; save the image with 8 bits" in problem.message
    picture[0, 0] = 256
    Image.fromarray(picture).save(tmp_path / f"x.{suffix}")
    assert only(ImageFolder(path=tmp_path)).max() == 0


def test_bilevel(tmp_path):
    save(tmp_path / "x.png", 1, mode="1")
    assert only(ImageFolder(path=tmp_path)).min() == 255


def test_cmyk(tmp_path):
    save(tmp_path / "x.jpg", (255, 0, 0, 0), mode="CMYK", quality=95)
    red, green, blue = only(ImageFolder(path=tmp_path))[:, 0, 0].tolist()
    assert red < 10
    assert green > 245
    assert blue > 245


def test_colour_as_grey(tmp_path):
    save(tmp_path / "x.png", (255, 0, 0))
    assert only(ImageFolder(path=tmp_path, channels=1)).unique().tolist() == [76]  # 0.299 * 255


# Bad input.


def refused(call) -> BadInput:
    with pytest.raises(BadInput) as caught:
        call()
    assert "\n" not in caught.value.message
    return caught.value


def configs_with(folder: Path, good: Path):
    return [
        (ImageFolder(path=folder), "path"),
        (PairedFolders(source=folder, target=good), "source"),
        (PairedFolders(source=good, target=folder), "target"),
        (UnpairedFolders(a=folder, b=good), "a"),
        (UnpairedFolders(a=good, b=folder), "b"),
    ]


@pytest.mark.parametrize("case", ["missing", "empty", "file"])
def test_bad_folders(tmp_path, case):
    save(tmp_path / "good" / "x.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("nothing here")
    (tmp_path / "file").write_text("a file")
    words = {"missing": "no such folder", "empty": "no images", "file": "a file, not a folder"}
    for config, setting in configs_with(tmp_path / case, tmp_path / "good"):
        for call in (config.spec, config.build):
            problem = refused(call)
            assert words[case] in problem.message
            assert problem.place == str(tmp_path / case)
            assert problem.path == (setting,)


def test_errors_of_relative_paths_name_the_working_directory():
    problem = refused(ImageFolder(path=Path("no-such-folder")).spec)
    assert str(Path.cwd()) in problem.remedy


def test_images_outside_class_subfolders(tmp_path):
    save(tmp_path / "x.png")
    save(tmp_path / "dog" / "x.png")
    problem = refused(ImageFolder(path=tmp_path, labels=True).spec)
    assert problem.message == "x.png is in no class subfolder"
    assert problem.path == ("with_labels",)


def test_unmatched_stems(tmp_path):
    shades(tmp_path / "s", 6)
    shades(tmp_path / "t", 1)
    problem = refused(PairedFolders(source=tmp_path / "s", target=tmp_path / "t").spec)
    assert problem.message == f"001, 002, 003 and 2 more are without a partner in {tmp_path / 't'}"
    problem = refused(PairedFolders(source=tmp_path / "t", target=tmp_path / "s").spec)
    assert problem.path == ("target",)


def test_stems_that_are_not_unique(tmp_path):
    save(tmp_path / "s" / "x.png")
    save(tmp_path / "s" / "x.jpg")
    problem = refused(PairedFolders(source=tmp_path / "s", target=tmp_path / "s").spec)
    assert "same stem" in problem.message


def test_broken_header_is_found_when_the_data_is_opened(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"this is not a png")
    for config, _ in configs_with(tmp_path, tmp_path):
        problem = refused(config.build)
        count = "1 of 2" if isinstance(config, ImageFolder) else "2 of 4"
        assert problem.message.startswith(f"{count} files cannot be read, and `max_unreadable: 0.01` allows 0: ")
        assert f"{tmp_path / 'b.png'} (this is not a readable image)" in problem.message


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_truncated_image_is_named_when_it_is_read(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = tmp_path / f"x.{suffix}"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    problem = refused(lambda: ImageFolder(path=tmp_path).build().fetch([0], SEED))
    assert problem.place == str(file)
    assert "cannot be read" in problem.message


def test_image_that_vanished_is_named(tmp_path):
    file = save(tmp_path / "x.png")
    data = ImageFolder(path=tmp_path).build()
    file.unlink()
    assert refused(lambda: data.fetch([0], SEED)).place == str(file)


def test_float_pixels_are_refused(tmp_path):
    save(tmp_path / "x.tif", 0.5, mode="F")
    assert "no known range" in refused(lambda: ImageFolder(path=tmp_path).build().fetch([0], SEED)).message


@pytest.mark.parametrize("limit", [60, 99])  # more than twice the limit, where Pillow raises, and less, where it warns
def test_decompression_bombs_are_refused(tmp_path, monkeypatch, limit):
    save(tmp_path / "x.png", size=(10, 13))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    problem = refused(ImageFolder(path=tmp_path).build)
    assert "decompression bomb" in problem.message
    assert str(tmp_path / "x.png") in problem.message


# Loader workers.


def test_workers_give_the_same_batches(tmp_path):
    shades(tmp_path, 7)
    data = ImageFolder(path=tmp_path, resolution=4, flip=True).build()
    copy = pickle.loads(pickle.dumps(data))
    batches = [
        BatchLoader(dataset, 4, SEED, torch.device("cpu"), workers=workers).starting_at(0)
        for dataset, workers in ((data, 0), (copy, 1))
    ]
    for _ in range(3):
        alone, with_workers = (next(loader)["real"] for loader in batches)
        assert torch.equal(alone, with_workers)
