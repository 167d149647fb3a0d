"""The preset trains: held-out emoji are translated, without any pair in training."""

import pytest
import torch

from ganframe import load, load_config, train
from ganframe.data import Randomness, images_as_floats


@pytest.mark.slow
def test_unseen_emoji_are_translated_both_ways(tmp_path):
    experiment = load_config("cyclegan-emoji")
    train(experiment, out=tmp_path / "run")
    players = load(tmp_path / "run", device="cpu").players
    pairs = experiment.data.model_copy(update={"paired": True}).held_out().build()
    batch = images_as_floats(pairs.fetch(range(len(pairs)), Randomness(0)))
    line, colour = batch["source"], batch["target"]
    with torch.no_grad():
        drawings, coloured = players["g_ba"](colour), players["g_ab"](line)
    # Untranslated, the two domains are 0.52 apart, and a white page is 0.38 from the colour pictures.
    assert (drawings - line).abs().mean() < 0.48
    assert (coloured - colour).abs().mean() < 0.34
    saturation = [(images.amax(dim=1) - images.amin(dim=1)).mean() for images in (coloured, colour, drawings)]
    assert saturation[0] > 0.6 * saturation[1]
    assert saturation[2] < 0.2 * saturation[1]
