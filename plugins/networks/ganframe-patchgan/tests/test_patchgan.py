"""PatchGAN, against the paper and the reference implementation."""

import pytest
import torch
from ganframe_patchgan import PatchGAN

from ganframe.config import BadInput, TensorSpec

FIELDS = {1: 256, 16: 126, 34: 62, 70: 30, 142: 14, 286: 6}


def image(channels, side, width=None):
    return TensorSpec((channels, side, width or side))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("norm", "channels", "expected"), [("batch", 6, 2_768_705), ("instance", 3, 2_764_737)])
def test_parameter_counts(norm, channels, expected):
    assert count(PatchGAN(norm=norm).build(sample=image(channels, 256))) == expected


@pytest.mark.parametrize(("field", "side"), FIELDS.items())
def test_side_of_the_logits(field, side):
    network = PatchGAN(receptive_field=field, channels=2).build(sample=image(3, 256))
    assert network(torch.zeros(1, 3, 256, 256)).logits.shape == (1, 1, side, side)


@pytest.mark.parametrize("field", FIELDS)
def test_receptive_field_by_gradient_support(field):
    """The pixels that change a logit in the middle form a square of that side."""
    torch.manual_seed(0)
    side = 2 * field + 64
    network = PatchGAN(receptive_field=field, channels=4, norm="none").build(sample=image(1, side)).double()
    sample = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    logits = network(sample).logits
    middle = logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2]
    (gradient,) = torch.autograd.grad(middle, sample)
    reached = gradient[0, 0] != 0
    assert reached.any(dim=0).sum() == field
    assert reached.any(dim=1).sum() == field
    assert reached.sum() == field**2


def test_a_tuple_is_joined_along_the_channels():
    network = PatchGAN(channels=4).build(sample=(image(1, 32), image(3, 32))).eval()
    source, target = torch.randn(2, 1, 32, 32), torch.randn(2, 3, 32, 32)
    joined = network(torch.cat([source, target], dim=1)).logits
    assert torch.equal(network((source, target)).logits, joined)
    assert not torch.equal(network((-source, target)).logits, joined)


def test_oblong_images_and_features():
    network = PatchGAN(channels=4, receptive_field=34).build(sample=image(3, 16, 32))
    output = network(torch.randn(2, 3, 16, 32))
    assert output.logits.shape == (2, 1, 2, 6)
    assert [tuple(feature.shape) for feature in output.features] == [(2, 4, 8, 16), (2, 8, 4, 8), (2, 16, 3, 7)]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("field", "smallest"), [(16, 6), (34, 12), (70, 24), (142, 48), (286, 96)])
def test_smallest_image(field, smallest, norm):
    config = PatchGAN(receptive_field=field, channels=2, norm=norm)
    network = config.build(sample=image(3, smallest))
    assert network(torch.randn(2, 3, smallest, smallest)).logits.shape == (2, 1, 1, 1)
    with pytest.raises(BadInput, match=f"at least {smallest}, not {smallest - 1}"):
        config.build(sample=image(3, 2 * smallest, smallest - 1))


@pytest.mark.parametrize(("norm", "smallest"), [("batch", 1), ("none", 1), ("instance", 2)])
def test_smallest_image_of_a_pixel_gan(norm, smallest):
    network = PatchGAN(receptive_field=1, channels=2, norm=norm).build(sample=image(3, smallest))
    assert network(torch.randn(2, 3, smallest, smallest)).logits.shape == (2, 1, smallest, smallest)


@pytest.mark.parametrize("sample", [TensorSpec((7,)), (image(3, 32), image(3, 64)), (image(3, 32), TensorSpec((5,)))])
def test_other_samples_are_refused(sample):
    with pytest.raises(BadInput, match="needs an image"):
        PatchGAN().build(sample=sample)


def test_without_norm_the_samples_of_a_batch_are_independent():
    network = PatchGAN(channels=4, norm="none").build(sample=image(3, 32))
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(network(images).logits[:1], network(images[:1]).logits)
