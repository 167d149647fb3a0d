"""Folders of oblong, grey, transparent and many-channel images train DCGAN, pix2pix and CycleGAN, and give samples."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganframe import Experiment, load, train
from ganframe.evaluation.translation import translate

SMALL = {"channels": 4}

GAMES: dict[str, dict[str, Any]] = {
    "dcgan": {
        "game": {
            "type": "adversarial",
            "generator": {"type": "dcgan", **SMALL},
            "discriminator": {"type": "dcgan", **SMALL},
        },
        "losses": ["non-saturating"],
    },
    "pix2pix": {
        "game": {
            "type": "paired",
            "generator": {"type": "unet", **SMALL},
            "discriminator": {"type": "patchgan", **SMALL},
        },
        "losses": ["non-saturating"],
        "regularizers": [{"type": "l1", "prediction": "fake", "target": "target", "weight": 100}],
    },
    "cyclegan": {
        "game": {
            "type": "cycle",
            "generator": {"type": "resnet", "blocks": 1, **SMALL},
            "discriminator": {"type": "patchgan", "norm": "instance", **SMALL},
        },
        "losses": ["least-squares"],
        "regularizers": ["cycle", "identity"],
    },
}


def write_images(folder: Path, channels: int, count: int = 6) -> Path:
    """Save noise of sides that differ from those of the run: grey or RGBA as PNG files, others as arrays."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(channels)
    for number in range(count):
        pixels = noise.integers(0, 256, (33 + number, 50, channels), np.uint8)
        if channels in (1, 4):
            Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(folder / f"{number}.png")
        else:
            np.save(folder / f"{number}.npy", pixels)
    return folder


def data_of(game: str, folder: Path, channels: int) -> dict[str, Any]:
    """Return a data set of images 30 high and 45 wide for a game."""
    shape = {"resolution": [30, 45], "channels": channels, "held_out_share": 0.3}
    a = write_images(folder / "a", channels)
    if game == "dcgan":
        return {"type": "image-folder", "path": str(a), **shape}
    b = write_images(folder / "b", channels)
    if game == "pix2pix":
        return {"type": "paired-folders", "source": str(a), "target": str(b), **shape}
    return {"type": "unpaired-folders", "a": str(a), "b": str(b), **shape}


@pytest.mark.parametrize(("game", "channels"), [*itertools.product(GAMES, (1, 4)), ("dcgan", 6)])
def test_images_of_30_x_45_train_and_give_samples(game: str, channels: int, tmp_path: Path) -> None:
    experiment = Experiment(
        **GAMES[game],
        data=data_of(game, tmp_path / "data", channels),
        train={"total_images": 6, "batch_size": 2, "device": "cpu"},
        snapshot={"every_images": 6},
    )
    run = train(experiment, out=tmp_path / "run")
    loaded = load(run.path)
    samples = loaded.tensors(2, (loaded.game.output,))[loaded.game.output]
    assert samples.shape == (2, channels, 30, 45)
    assert samples.isfinite().all()
    with Image.open(run.path / "samples.png") as picture:
        assert picture.size[0] >= 45
        assert np.asarray(picture).std() > 0


@pytest.mark.parametrize("channels", [4, 6])
def test_a_translator_of_many_channels_translates_new_files(channels: int, tmp_path: Path) -> None:
    data = data_of("pix2pix", tmp_path / "data", channels)
    train_settings = {"total_images": 2, "batch_size": 2, "device": "cpu"}
    run = train(Experiment(**GAMES["pix2pix"], data=data, train=train_settings), out=tmp_path / "run")
    assert translate(load(run.path), tmp_path / "data" / "a", tmp_path / "out") == 6
    if channels == 4:
        with Image.open(tmp_path / "out" / "3.png") as image:
            assert (image.mode, image.size) == ("RGBA", (45, 30))
    else:
        array = np.load(tmp_path / "out" / "3.npy")
        assert (array.dtype, array.shape) == (np.uint8, (30, 45, 6))
