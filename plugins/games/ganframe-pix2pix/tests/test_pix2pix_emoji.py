"""The preset trains: line drawings that were never seen get about the right colours."""

import pytest

from ganframe import load, load_config, train


@pytest.mark.slow
def test_unseen_line_drawings_are_coloured(tmp_path):
    train(load_config("pix2pix-emoji"), out=tmp_path / "run")
    drawn = load(tmp_path / "run", device="cpu").tensors(160, ("source", "fake", "target"))
    # The best picture that is the same for all drawings is 0.32 away, the drawings themselves 0.52.
    assert (drawn["fake"] - drawn["target"]).abs().mean() < 0.26
    saturation = [(each.amax(dim=1) - each.amin(dim=1)).mean() for each in (drawn["fake"], drawn["target"])]
    assert saturation[0] > 0.7 * saturation[1]
