"""Folders of images: the examples they give, the conversion of images, and the errors for bad input."""

import io
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ganframe_folders import ImageFolder, PairedFolders, SideBySide, UnpairedFolders
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
    return images[:, 0, 0, 0].tolist()


def only(config):
    """Return the single image of a folder."""
    return config.build().fetch([0], SEED)["real"][0]


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
    assert batch["real"].dtype == torch.uint8
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


# Channels.


def test_transparency_is_the_fourth_channel(tmp_path):
    save(tmp_path / "a.png", (10, 20, 30, 40), mode="RGBA")
    save(tmp_path / "b.png", (10, 20, 30))
    save(tmp_path / "c.png", (50, 60), mode="LA")
    images = ImageFolder(path=tmp_path, channels=4, resolution=10).build().fetch(range(3), SEED)["real"]
    assert images[:, :, 0, 0].tolist() == [[10, 20, 30, 40], [10, 20, 30, 255], [50, 50, 50, 60]]
    assert images.shape == (3, 4, 10, 10)


def test_colours_of_transparent_pixels_do_not_bleed(tmp_path):
    """White and opaque beside green and transparent: averaged, half transparent and white, not half green."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, ::2] = 255
    pixels[:, 1::2] = (0, 255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    image = only(ImageFolder(path=tmp_path, channels=4, resolution=2)).float()
    assert (image[:3] > 250).all()
    assert (image[3] - 127.5).abs().max() < 16


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_arrays_have_any_number_of_channels(tmp_path, channels):
    array = np.random.default_rng(0).integers(0, 256, (6, 9, channels), np.uint8)
    np.save(tmp_path / "x.npy", array if channels > 1 else array[:, :, 0])
    np.save(tmp_path / "y.npy", np.asfortranarray(array))
    config = ImageFolder(path=tmp_path, channels=channels, resolution=(6, 9))
    assert config.spec()["real"].shape == (channels, 6, 9)
    images = config.build().fetch([0, 1], SEED)["real"]
    assert torch.equal(images[0], torch.from_numpy(array.transpose(2, 0, 1).copy()))
    assert torch.equal(images[0], images[1])


def test_arrays_are_resized_channel_by_channel_as_grey_images_are(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (31, 17, 5), np.uint8)
    np.save(tmp_path / "x.npy", array)
    (tmp_path / "grey").mkdir()
    for channel in range(5):
        Image.fromarray(array[:, :, channel].copy()).save(tmp_path / "grey" / f"{channel}.png")
    config = ImageFolder(path=tmp_path / "grey", channels=1, resolution=(8, 12))
    grey = config.build().fetch(range(5), SEED)["real"][:, 0]
    (tmp_path / "array").mkdir()
    (tmp_path / "x.npy").rename(tmp_path / "array" / "x.npy")
    assert torch.equal(only(ImageFolder(path=tmp_path / "array", channels=5, resolution=(8, 12))), grey)


class Executed:
    """An object whose pickle writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_arrays_that_are_no_images_are_refused(tmp_path):
    def header(shape):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return stream.getvalue()

    def saved(array):
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=True)
        return stream.getvalue()

    float_array, deep = np.zeros((4, 4), np.float32), np.zeros((2, 4, 4, 3), np.uint8)
    for number, (content, message) in enumerate(
        [
            (saved(float_array), r"the array is float32 \(4, 4\); save it as uint8"),
            (saved(deep), r"the array is uint8 \(2, 4, 4, 3\)"),
            (saved(np.array([Executed(tmp_path / "executed")], dtype=object)), "the array is object"),
            (header((4, 4, 3)) + bytes(40), "the array is cut off"),
            (header((2**20, 2**20, 3)), "numbers, and at most"),
            (header((4, 4, 100_000)), "100,000 channels"),
            (b"\x93NUMPY\x01\x00\xff\xff", "cannot be read"),
            (b"\x93NUMPY\x09\x00", "cannot be read"),
        ]
    ):
        file = tmp_path / str(number) / "x.npy"
        file.parent.mkdir()
        file.write_bytes(content)
        assert re.search(message, refused(ImageFolder(path=file.parent).build).message)
    assert not (tmp_path / "executed").exists()


def test_channels_that_do_not_fit_are_named(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 4, 5), np.uint8))
    problem = refused(lambda: ImageFolder(path=tmp_path).build().fetch([0], SEED))
    assert "the array has 5 channels, and `channels` is 3" in problem.message
    save(tmp_path / "png" / "x.png")
    problem = refused(lambda: ImageFolder(path=tmp_path / "png", channels=5).build().fetch([0], SEED))
    assert "image files give 1, 3 or 4 channels; `channels: 5` needs .npy files" in problem.message


# Pairs side by side.


def test_halves_are_source_and_target(tmp_path):
    halves(tmp_path / "x.png", (21, 10))
    for source, levels in (("left", [0, 255]), ("right", [255, 0])):
        config = SideBySide(path=tmp_path, source=source, resolution=5, channels=1)
        assert {name: spec.shape for name, spec in config.spec().items()} == {"source": (1, 5, 5), "target": (1, 5, 5)}
        batch = config.build().fetch([0], SEED)
        assert batch["source"].unique().tolist() == levels[:1]
        # The black column in the middle of 21 belongs to neither half.
        assert batch["target"].unique().tolist() == levels[1:]


def test_halves_equal_the_pairs_of_two_folders(tmp_path):
    noise = np.random.default_rng(0)
    for folder in ("a", "b", "both"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        left, right = (noise.integers(0, 256, (20, 24, 3), np.uint8) for _ in "ab")
        Image.fromarray(left).save(tmp_path / "a" / f"{number}.png")
        Image.fromarray(right).save(tmp_path / "b" / f"{number}.png")
        Image.fromarray(np.concatenate([left, right], axis=1)).save(tmp_path / "both" / f"{number}.png")
    settings = {"resolution": (8, 10), "flip": True, "held_out_share": 0.4}
    pairs = PairedFolders(source=tmp_path / "a", target=tmp_path / "b", **settings)
    both = SideBySide(path=tmp_path / "both", **settings)
    for config, other in ((pairs, both), (pairs.held_out(), both.held_out())):
        batches = [each.build().fetch([0, 0, 0, 0], SEED) for each in (config, other)]
        assert all(torch.equal(batches[0][name], batches[1][name]) for name in ("source", "target"))


def test_an_image_of_one_column_has_no_halves(tmp_path):
    save(tmp_path / "x.png", size=(1, 5))
    problem = refused(lambda: SideBySide(path=tmp_path).build().fetch([0], SEED))
    assert "an image of one column has no two halves" in problem.message


# A held-out share.


def test_held_out_examples_are_others_and_stay_when_files_are_added(tmp_path):
    shades(tmp_path, 100)
    config = ImageFolder(path=tmp_path, held_out_share=0.2, resolution=4)
    held_out = config.held_out()
    trained, measured = {*config.build().file_names()}, {*held_out.build().file_names()}
    assert not trained & measured
    assert len(trained | measured) == 100
    assert 8 <= len(measured) <= 32  # 20 within three standard deviations
    assert held_out.held_out() is None
    shades(tmp_path / "more", 50)
    assert {name for name in held_out.build().file_names() if "/" not in name} == measured


def test_which_example_is_held_out_depends_on_its_name_without_the_suffix(tmp_path):
    shades(tmp_path / "png", 40)
    shades(tmp_path / "bmp", 40, ".bmp")
    names = [
        [Path(name).stem for name in ImageFolder(path=tmp_path / kind, held_out_share=0.3).build().file_names()]
        for kind in ("png", "bmp")
    ]
    assert names[0] == names[1]
    # The share of the hash of "b" is 0x3e23e816 / 2^32 = 0.243, and that of "a" 0xca978112 / 2^32 = 0.791.
    (tmp_path / "two").mkdir()
    for name in "ab":
        save(tmp_path / "two" / f"{name}.png")
    assert ImageFolder(path=tmp_path / "two", held_out_share=0.25).held_out().build().file_names() == ["b.png"]
    assert refused(ImageFolder(path=tmp_path / "two", held_out_share=0.24).spec).path == ("held_out_share",)


def test_classes_keep_their_numbers_in_the_held_out_part(tmp_path):
    for name in ("ant", "bee", "cat"):
        shades(tmp_path / name, 20)
    config = ImageFolder(path=tmp_path, with_labels=True, held_out_share=0.3, resolution=4)
    assert config.held_out().spec() == config.spec()
    for each in (config, config.held_out()):
        data = each.build()
        labels = data.fetch(range(len(data)), SEED)["label"].tolist()
        assert labels == [("ant", "bee", "cat").index(name.partition("/")[0]) for name in data.file_names()]


def test_both_counts_are_said(tmp_path):
    shades(tmp_path, 30)
    config = ImageFolder(path=tmp_path, held_out_share=0.3)
    counts = [summarize(each.build()) for each in (config, config.held_out())]
    assert counts[0].examples + counts[1].examples == 30
    assert counts[0].left_out["held out, to measure with"].count == counts[1].examples
    assert counts[1].left_out["to train on"].count == counts[0].examples


def test_domains_hold_out_examples_of_both(tmp_path):
    shades(tmp_path / "a", 20)
    shades(tmp_path / "b", 30)
    config = UnpairedFolders(a=tmp_path / "a", b=tmp_path / "b", held_out_share=0.3)
    names = [*config.build().file_names(), *config.held_out().build().file_names()]
    assert sorted(names) == sorted([f"{number:03d}.png" for count in (20, 30) for number in range(count)])


def test_shares_that_leave_a_part_empty_are_refused(tmp_path):
    shades(tmp_path / "x", 3)
    problem = refused(ImageFolder(path=tmp_path / "x", held_out_share=0.0001).spec)
    assert problem.message == "holds none of the 3 examples out"
    assert problem.path == ("held_out_share",)
    problem = refused(ImageFolder(path=tmp_path / "x", held_out_share=0.9999).build)
    assert problem.message == "holds all of the 3 examples out"
    save(tmp_path / "classes" / "a" / "1.png")
    shades(tmp_path / "classes" / "b", 40)
    config = ImageFolder(path=tmp_path / "classes", with_labels=True, held_out_share=0.95)
    assert refused(config.build).message == "every example of class a is held out"
