"""Nothing in a folder of images is dropped, renumbered or changed without a word: the examples that are said to be
there, and what is said to be left out, are all that the folder holds.

Folders are made at random, of images of every format, other files, hidden ones, broken ones, links to files and folders
and back to folders around them, pipes and empty folders, under names with spaces, line breaks, control characters and
bytes that are no UTF-8. What a folder holds is noted while it is made, and compared with what the data set says.
"""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ganframe_folders import ImageFolder
from PIL import Image

from ganframe.config import BadInput
from ganframe.data import Randomness
from ganframe.data.summary import summarize

FORMATS = {
    ".png": "PNG",
    ".PNG": "PNG",
    ".jpg": "JPEG",
    ".jfif": "JPEG",
    ".JPE": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
OTHERS = (".txt", ".csv", ".mp4", "", ".png~", ".json", ".npz", ".heic")
MODES = ("RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "I;16")
ODD = (
    "plain",
    "two words",
    "line\nbreak",
    "bell\a",
    "\x1b[31mred",
    "dash-",
    "-lead",
    "[markup]",
    "ü",
    "\udcff\udcfe",
    "'\"",
)
LEVEL = 201
"""The level of grey of every image, which is 201 x 257 in 16 bits."""


class Maker:
    """Makes a folder at random, and keeps count of what it holds."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.moments, self.made = folder, random.Random(seed), 0
        self.examples = 0
        self.left_out = Counter[str]()
        self.classes = set[str]()
        folder.mkdir()

    def name(self) -> str:
        self.made += 1
        return f"{self.moments.choice(ODD)}{self.made}"

    def fill(self, folder: Path, depth: int = 0) -> int:
        """Fill a folder, and return the number of images in it and below."""
        images = 0
        for _ in range(self.moments.randrange(1 if depth else 4, 6)):
            kind = self.moments.choices(
                ("image", "other", "hidden", "broken", "dead link", "loop", "pipe", "folder", "link", "file link"),
                (8, 2, 1, 1, 1, 1, 1, 4 if depth < 3 else 0, 2, 1),
            )[0]
            images += getattr(self, f"make_{kind.replace(' ', '_')}")(folder, depth)
        return images

    def make_image(self, folder: Path, _depth: int) -> int:
        (folder / f"{self.name()}{self.picture(folder)}").write_bytes(self.content)
        return 1

    def picture(self, _folder: Path) -> str:
        """Make the content of an image of one level, and return its suffix."""
        mode, size = self.moments.choice(MODES), (self.moments.randrange(1, 30), self.moments.randrange(1, 30))
        if mode == "I;16":
            image = Image.fromarray(np.full(size, LEVEL * 257, dtype=np.uint16))
        else:
            image = Image.new("RGB", size, (LEVEL,) * 3)
            image = image.convert(mode, dither=Image.Dither.NONE, palette=Image.Palette.ADAPTIVE)
        for suffix, kind in self.moments.sample(sorted(FORMATS.items()), len(FORMATS)):
            stream = io.BytesIO()
            try:
                image.save(stream, kind)
            except (OSError, ValueError):
                continue  # the format has no such mode
            self.content = stream.getvalue()
            return suffix
        raise AssertionError(mode)

    def make_broken(self, folder: Path, _depth: int) -> int:
        (folder / f"{self.name()}.png").write_bytes(self.moments.randbytes(self.moments.randrange(20)))
        self.left_out["files that cannot be read (the next in order stands in for each)"] += 1
        return 1

    def make_other(self, folder: Path, _depth: int) -> int:
        (folder / f"{self.name()}{self.moments.choice(OTHERS)}").write_bytes(b"x")
        self.left_out["files of other types"] += 1
        return 0

    def make_hidden(self, folder: Path, _depth: int) -> int:
        (folder / f".{self.name()}.png").write_bytes(b"x")
        self.left_out["hidden"] += 1
        return 0

    def make_dead_link(self, folder: Path, _depth: int) -> int:
        (folder / self.name()).symlink_to("nowhere")
        self.left_out["links that lead nowhere"] += 1
        return 0

    def make_loop(self, folder: Path, _depth: int) -> int:
        around = [folder, *folder.parents]
        above = around[: around.index(self.folder) + 1]
        (folder / self.name()).symlink_to(self.moments.choice(above))
        self.left_out["links back to a folder around them"] += 1
        return 0

    def make_pipe(self, folder: Path, _depth: int) -> int:
        os.mkfifo(folder / f"{self.name()}.jpg")
        self.left_out["pipes, sockets and devices"] += 1
        return 0

    def make_file_link(self, folder: Path, _depth: int) -> int:
        outside = self.folder.parent / f"{self.folder.name}-{self.name()}"
        suffix = self.picture(folder)
        outside.write_bytes(self.content)
        (folder / f"{self.name()}{suffix}").symlink_to(outside)
        return 1

    def make_folder(self, folder: Path, depth: int) -> int:
        inner = folder / self.name()
        inner.mkdir()
        return self.fill_inner(inner, depth)

    def make_link(self, folder: Path, depth: int) -> int:
        """A link to a folder of images elsewhere."""
        outside = self.folder.parent / f"{self.folder.name}-{self.name()}"
        outside.mkdir()
        (folder / self.name()).symlink_to(outside)
        for _ in range(count := self.moments.randrange(3)):
            self.make_image(outside, depth)
        self.left_out["folders without images"] += not count
        return count

    def fill_inner(self, inner: Path, depth: int) -> int:
        before = self.left_out["folders without images"]
        images = self.fill(inner, depth + 1) if self.moments.random() < 0.8 else 0
        if not images:  # one that is empty as a whole is named once
            self.left_out["folders without images"] = before + 1
        return images


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_all_that_a_folder_holds_is_an_example_or_said_to_be_left_out(count: int, tmp_path: Path, figures) -> None:
    examples = 0
    for seed in range(count):
        maker = Maker(tmp_path / str(seed), seed)
        expected = maker.fill(maker.folder)
        config = ImageFolder(path=maker.folder, resolution=2, channels=1, max_unreadable=1)
        if not expected:
            with pytest.raises(BadInput, match="there are no images in this folder"):
                config.build()
            continue
        data = config.build()
        summary = summarize(data)
        assert summary.examples == expected, seed
        assert {reason: each.count for reason, each in summary.left_out.items()} == +maker.left_out, seed
        broken = maker.left_out["files that cannot be read (the next in order stands in for each)"]
        if broken < expected:
            pixels = data.fetch(range(expected), Randomness(seed))["real"].float()
            assert ((pixels - LEVEL).abs().le(8) | pixels.ge(250)).all(), seed  # an image of 1 bit is white
        examples += expected
        figures.count("folders of images made at random")
    figures.count("examples in them, each found", examples)
