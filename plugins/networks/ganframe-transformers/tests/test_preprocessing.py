"""The preprocessing of a folder: by hand, against Pillow, and what is refused. It needs no transformers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganframe_transformers import Clip, Dinov2
from ganframe_transformers.preprocessing import read
from ganframe_transformers.tiny_models import PREPROCESSING
from PIL import Image

from ganframe import BadInput

PLAIN = {"do_resize": False, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}


def prepare(folder: Path, **settings: Any) -> Any:
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSING, **settings}))
    return read(folder)


def test_normalisation_by_hand(tmp_path: Path):
    """Black, grey and white are 0, 0.5 and 1 before mean and deviation."""
    settings = {"do_center_crop": False, "image_mean": [0.5, 0.25, 0], "image_std": [0.5, 0.25, 2]}
    prepared = prepare(tmp_path, do_resize=False, **settings)(torch.tensor([-1.0, 0, 1]).reshape(1, 3, 1, 1))
    torch.testing.assert_close(prepared.flatten(), torch.tensor([-1.0, 1, 0.5]))


def test_crop_by_hand(tmp_path: Path):
    """Of rows 0 to 4, the middle 3; a width of 2 gets one column of zeros on each side."""
    image = torch.arange(1.0, 11).reshape(1, 1, 5, 2).expand(-1, 3, -1, -1) / 5 - 1
    found = prepare(tmp_path, **PLAIN, crop_size={"height": 3, "width": 4})(image)[0, 0] * 10
    expected = torch.tensor([[0.0, 3, 4, 0], [0, 5, 6, 0], [0, 7, 8, 0]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("size", "after"), [({"shortest_edge": 32}, (32, 51)), (70, (70, 112)), ({"height": 9, "width": 7}, (9, 7))]
)
@pytest.mark.parametrize("resample", [2, 3])
def test_resize_agrees_with_pillow(tmp_path: Path, size: Any, after: tuple[int, int], resample: int):
    """Pillow rounds to bytes, after the rows too; where it overshoots their range, it clips in between."""
    pixels = np.random.default_rng(0).integers(60, 200, (50, 80, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(pixels).resize(after[::-1], Image.Resampling(resample)))
    settings = {**PLAIN, "do_resize": True, "size": size, "resample": resample, "do_center_crop": False}
    sample = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    found = prepare(tmp_path, **settings)(sample)[0].permute(1, 2, 0) * 255
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, atol=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"resample": 1},
        {"size": {"longest_edge": 3}},
        {"do_normalize": False},
        {"image_std": [1, 1, 0]},
        {"image_mean": [0.5]},
    ],
)
def test_another_preprocessing_is_refused(tmp_path: Path, settings: Any):
    with pytest.raises(BadInput, match=r"path: .*is not a preprocessing that this encoder knows"):
        prepare(tmp_path, **settings)


def test_a_missing_preprocessing_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"path: there is no file .*preprocessor_config\.json"):
        read(tmp_path)


@pytest.mark.parametrize("config", [Dinov2, Clip])
def test_without_transformers_the_message_says_what_to_install(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BadInput, match=r"needs transformers.*\n  pip install 'ganframe-transformers\[transformers\]'"):
        config(path=tmp_path).build()
