"""Image files as pixels: which part of an image is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganframe.data.image_files import ImageReader

RAMP = np.arange(0, 240, 30, dtype=np.uint8)


@pytest.mark.parametrize(
    ("pixels", "kept"),
    [
        (np.tile(RAMP[:, None], (1, 4)), np.tile(RAMP[2:6, None], (1, 4))),  # 8 high, 4 wide
        (np.tile(RAMP, (4, 1)), np.tile(RAMP[2:6], (4, 1))),  # 4 high, 8 wide
        (np.tile(RAMP[:7, None], (1, 4)), np.tile(RAMP[1:5, None], (1, 4))),  # of 3 rows too many, 2 below
    ],
)
def test_a_crop_keeps_the_middle(pixels: np.ndarray, kept: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    assert ImageReader((4, 4), 1, crop=True).read(tmp_path / "ramp.png").tolist() == [kept.tolist()]


def test_a_crop_has_the_proportions_of_the_result(tmp_path: Path) -> None:
    """Of 8 x 8, a result of 2 x 4 keeps the rows 2 to 5: a ramp from 60 to 150, of which each row is a mean of two."""
    Image.fromarray(np.tile(RAMP[:, None], (1, 8))).save(tmp_path / "ramp.png")
    (read,) = ImageReader((2, 4), 1, crop=True).read(tmp_path / "ramp.png")
    assert read.shape == (2, 4)
    assert read.mean() == pytest.approx(105, abs=1)
    assert (read == read[:, :1]).all()
    assert int(read[0, 0]) == pytest.approx(75, abs=8)


def test_transparent_parts_are_white_in_every_mode(tmp_path: Path) -> None:
    clear, black = (200, 0, 0, 0), (0, 0, 0, 255)
    image = Image.new("RGBA", (2, 1), black)
    image.putpixel((0, 0), clear)
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    grey = Image.new("LA", (2, 1), (0, 255))
    grey.putpixel((0, 0), (90, 0))
    image.save(tmp_path / "rgba.png")
    palette.save(tmp_path / "palette.png", transparency=0)
    grey.save(tmp_path / "grey.png")
    for name in ("rgba", "palette", "grey"):
        read = ImageReader((1, 2), 3, crop=False).read(tmp_path / f"{name}.png")
        assert read.tolist() == [[[255, 0]]] * 3, name
