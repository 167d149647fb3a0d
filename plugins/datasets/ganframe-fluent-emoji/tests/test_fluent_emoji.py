"""The emoji: their splits, their pairs, and that unpaired domains share no emoji."""

import pickle
from pathlib import Path

import ganframe_fluent_emoji
import numpy as np
import pytest
import torch
from ganframe_fluent_emoji import FluentEmoji

from ganframe.data import Randomness, images_as_floats

DATA = Path(ganframe_fluent_emoji.__file__).parent / "data"


def everything(config):
    data = config.build()
    return images_as_floats(data.fetch(range(len(data)), Randomness(0)))


def rows(images):
    return {image.numpy().tobytes() for image in images}


def test_file_is_small_and_licensed():
    assert (DATA / "fluent_emoji_32.npz").stat().st_size < 3_000_000
    licence = (DATA / "LICENSE").read_text()
    for words in ("MIT License", "@iconify-json/fluent-emoji-flat 1.2.6", "fluent-emoji-high-contrast 1.2.6"):
        assert words in licence


def test_a_tenth_is_held_out_and_not_trained_on():
    train, held_out = FluentEmoji(), FluentEmoji().held_out()
    assert held_out is not None
    assert (len(train.build()), len(held_out.build())) == (1434, 160)
    assert held_out.held_out() is None
    assert not rows(everything(train)["source"]) & rows(everything(held_out)["source"])


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("split", ["train", "held-out"])
def test_the_spec_matches_the_data(paired, split):
    config = FluentEmoji(paired=paired, split=split)
    batch = everything(config)
    assert {name: tuple(images.shape[1:]) for name, images in batch.items()} == {
        name: spec.shape for name, spec in config.spec().items()
    }
    for images in batch.values():
        assert images.dtype == torch.float32
        assert images.min() >= -1
        assert images.max() <= 1
        assert images.max() > 0.9


def test_pairs_show_the_same_emoji():
    """Where the drawing has ink, the colour picture is not background either: nearly always, and only for the pair."""
    batch = everything(FluentEmoji())
    ink = batch["source"].mean(dim=1) < -0.5
    background = (batch["target"] > 0.99).all(dim=1)

    def clash(shift):
        return (ink & background.roll(shift, 0)).sum() / ink.sum()

    assert clash(0) < 0.15
    assert clash(1) > 2 * clash(0)


def test_line_drawings_have_equal_channels():
    source = everything(FluentEmoji())["source"]
    assert torch.equal(source[:, 0], source[:, 1])
    assert torch.equal(source[:, 0], source[:, 2])


def test_unpaired_domains_share_no_emoji():
    paired = everything(FluentEmoji())
    data = FluentEmoji(paired=False).build()
    shown_a, shown_b = set(), set()
    for epoch in range(12):
        batch = images_as_floats(data.fetch(range(len(data)), Randomness(0).at(epoch)))
        shown_a |= rows(batch["real_a"])
        shown_b |= rows(batch["real_b"])
    in_a = [image.numpy().tobytes() in shown_a for image in paired["source"]]
    in_b = [image.numpy().tobytes() in shown_b for image in paired["target"]]
    # 16 drawings stand for two emoji each, such as a blue and an orange diamond.
    assert np.logical_and(in_a, in_b).sum() <= 16
    assert sum(in_b) == pytest.approx(717, abs=3)


def test_unpaired_partners_are_seeded():
    data = FluentEmoji(paired=False).build()
    first, again, other = (data.fetch(range(8), Randomness(0).at(at)) for at in (1, 1, 2))
    assert torch.equal(first["real_b"], again["real_b"])
    assert torch.equal(first["real_a"], other["real_a"])
    assert not torch.equal(first["real_b"], other["real_b"])


@pytest.mark.parametrize("paired", [True, False])
def test_it_can_be_sent_to_a_loader_worker(paired):
    data = FluentEmoji(paired=paired).build()
    copy = pickle.loads(pickle.dumps(data))
    for name, images in data.fetch([3, 5], Randomness(0)).items():
        assert torch.equal(images, copy.fetch([3, 5], Randomness(0))[name])
