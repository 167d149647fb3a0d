"""From images to features: batches, resizing, and what is refused."""

from typing import Literal

import pytest
import torch
from ganframe_feature_metrics import MIND, InceptionScore
from ganframe_feature_metrics.extractor import ENCODER_BATCH, Extractor, as_saved, resized_to
from ganframe_perceptual import RandomConvolutions
from torch import nn

from ganframe.config import BadInput, EncoderConfig
from ganframe.data import Randomness, as_float
from ganframe.testing.fakes import FakeEncoder

IMAGES = (Randomness(0).uniform("images", (50, 3, 12, 10)) * 255).round() / 127.5 - 1


class Shaped(EncoderConfig):
    """An encoder whose last activation has a given shape for each example, and one value."""

    type: Literal["shaped"] = "shaped"
    shape: tuple[int, ...]
    value: float | None = 0.5

    def build(self):
        return ShapedNetwork(self)


class ShapedNetwork(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.sizes = config, []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        value = float("nan") if self.config.value is None else self.config.value
        return images, torch.full((len(images), *self.config.shape), value)


def extractor(encoder, **settings):
    return Extractor(MIND(encoder=encoder, **settings))


def test_features_are_the_last_activation_and_of_a_map_the_mean_over_its_positions():
    network = RandomConvolutions(channels=(4, 6)).build()
    expected = network(IMAGES)[1].mean(dim=(2, 3))
    torch.testing.assert_close(extractor(RandomConvolutions(channels=(4, 6))).features(IMAGES), expected)
    torch.testing.assert_close(extractor(FakeEncoder()).features(IMAGES), FakeEncoder().build()(IMAGES)[1])


@pytest.mark.parametrize("size", [1, 7, 32, 33])
def test_features_of_an_image_do_not_depend_on_its_batch(size):
    encode = extractor(RandomConvolutions())
    parts = torch.cat([encode.features(part) for part in IMAGES.split(size)])
    assert torch.equal(parts, encode.features(IMAGES))


def test_every_forward_pass_has_the_same_number_of_images():
    encode = extractor(Shaped(shape=(2,)), resize=(6, 5))
    assert encode.features(IMAGES).shape == (50, 2)
    assert encode.network.sizes == [(ENCODER_BATCH, 3, 6, 5)] * 2


def test_features_carry_no_gradient():
    assert not extractor(FakeEncoder()).features(IMAGES.clone().requires_grad_()).requires_grad


def test_resizing_keeps_flat_images_and_the_range_and_does_not_alias():
    flat = torch.full((1, 1, 64, 64), 0.3)
    torch.testing.assert_close(resized_to((16, 24), flat), torch.full((1, 1, 16, 24), 0.3))
    step = torch.where(torch.arange(8) < 4, -1.0, 1.0).expand(1, 1, 8, 8)
    assert resized_to((31, 31), step).abs().max() == 1
    # Columns of 1 and -1 in turn are grey at half the size; without antialiasing they would be 1 or -1.
    columns = (1 - 2 * (torch.arange(64) % 2)).float().expand(1, 1, 64, 64)
    assert resized_to((16, 16), columns)[..., 2:-2, 2:-2].abs().max() < 0.1


def test_resizing_comes_before_the_encoder():
    encode = extractor(FakeEncoder(), resize=(6, 5))
    torch.testing.assert_close(encode.features(IMAGES), FakeEncoder().build()(resized_to((6, 5), IMAGES))[1])


@pytest.mark.parametrize(("shape", "ok"), [((3,), True), ((3, 2, 2), True), ((3, 2), False), ((), False)])
def test_only_vectors_and_maps_are_features(shape, ok):
    encode = extractor(Shaped(shape=shape))
    if ok:
        assert torch.equal(encode.features(IMAGES), torch.full((50, 3), 0.5))
    else:
        with pytest.raises(BadInput, match="encoder: the encoder's last activation of one example is"):
            encode.features(IMAGES)


@pytest.mark.parametrize("shape", [(5,), (84,), (4, 2, 2), ()])
def test_only_as_many_numbers_as_there_are_classes_are_class_logits(shape):
    """Features are a vector too, and would be taken for the logits of as many classes."""
    logits = Extractor(InceptionScore(encoder=Shaped(shape=(4,)), classes=4)).class_logits(IMAGES, 4)
    assert logits.shape == (50, 4)
    with pytest.raises(BadInput, match="not logits of 4 classes"):
        Extractor(InceptionScore(encoder=Shaped(shape=shape), classes=4)).class_logits(IMAGES, 4)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(BadInput, match="not finite"):
        extractor(Shaped(shape=(4,), value=None)).features(IMAGES)


@pytest.mark.parametrize("resize", [None, (6, 5)])
def test_images_are_measured_as_they_are_saved(resize):
    """Cut to the range and rounded to 8 bits: 0.3 is 165.75 of 255, which is saved as 166."""
    encode = extractor(RandomConvolutions(), resize=resize)
    assert torch.equal(encode.features(IMAGES * 3), encode.features((IMAGES * 3).clamp(-1, 1)))
    grey = torch.full((2, 3, 8, 8), 0.3)
    assert torch.equal(encode.features(grey), encode.features(torch.full_like(grey, 166 / 127.5 - 1)))
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(as_saved(pixels), as_float(pixels))
    assert torch.equal(as_saved(as_float(pixels)), as_float(pixels))
    assert torch.equal(as_saved(torch.tensor([[0.3, 7.0]])), torch.tensor([[0.3, 7.0]]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_refused(value):
    with pytest.raises(BadInput, match="samples are not finite"):
        extractor(FakeEncoder()).features(torch.where(IMAGES == IMAGES[0, 0, 0, 0], value, IMAGES))


def test_vectors_are_not_resized():
    with pytest.raises(BadInput, match=r"resize: samples of shape \(2,\) cannot be resized"):
        extractor(Shaped(shape=(2,)), resize=(6, 5)).features(torch.zeros(4, 2))
