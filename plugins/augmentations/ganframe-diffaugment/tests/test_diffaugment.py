"""Each transformation against a hand computation on small images, and the draws of their parameters."""

from types import SimpleNamespace

import pytest
import torch
from ganframe_diffaugment import DiffAugment
from ganframe_diffaugment.transformations import brightness, contrast, cutout, saturation, translation
from pydantic import ValidationError
from torch import Tensor

from ganframe.config import BadInput, TensorSpec

DOUBLE = {"dtype": torch.float64}


def changed(sample, seed=0, **settings):
    return DiffAugment(**settings).build()(sample, torch.Generator().manual_seed(seed))


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **DOUBLE) * 2 - 1


def draw(*values: float) -> Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(("value", "expected"), [(0.0, -0.5), (0.5, 0.0), (0.75, 0.25)])
def test_brightness_adds_the_same_number_everywhere(value: float, expected: float):
    sample = images(1, 2, 3, 4)
    torch.testing.assert_close(brightness(sample, draw(value)), sample + expected)


def test_saturation_by_hand():
    """The pixel (0.6, 0.0, -0.3) has the mean 0.1, and the distances 0.5, -0.1 and -0.4 from it."""
    pixel = torch.tensor([0.6, 0.0, -0.3], **DOUBLE).reshape(1, 3, 1, 1)
    for value, factor in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.5)):
        expected = [0.1 + factor * distance for distance in (0.5, -0.1, -0.4)]
        assert saturation(pixel, draw(value)).flatten().tolist() == pytest.approx(expected)


def test_saturation_does_not_change_one_channel():
    sample = images(2, 1, 3, 3)
    assert torch.equal(saturation(sample, draw(0.1, 0.9)), sample)


def test_contrast_by_hand():
    """The image (1, 0, -0.5, 0.3) has the mean 0.2."""
    sample = torch.tensor([1.0, 0.0, -0.5, 0.3], **DOUBLE).reshape(1, 1, 2, 2)
    for value, factor in ((0.0, 0.5), (0.5, 1.0), (0.9, 1.4)):
        expected = [0.2 + factor * distance for distance in (0.8, -0.2, -0.7, 0.1)]
        assert contrast(sample, draw(value)).flatten().tolist() == pytest.approx(expected)


def test_contrast_is_about_the_mean_of_all_channels():
    sample = torch.tensor([1.0, 0.0], **DOUBLE).reshape(1, 2, 1, 1)
    assert contrast(sample, draw(0.0)).flatten().tolist() == pytest.approx([0.75, 0.25])


def test_translation_by_hand():
    """Sides of 4 and a ratio of 1/4 shift by -1, 0 or 1; the row comes first."""
    sample = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    down_left = translation(sample, torch.tensor([[0.9, 0.1]]), 1 / 4)
    assert down_left[0, 0].tolist() == [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0]]
    up = translation(sample, torch.tensor([[0.0, 0.5]]), 1 / 4)
    assert up[0, 0].tolist() == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [0, 0, 0, 0]]


def test_translation_of_another_shape_by_two_pixels():
    sample = torch.arange(1.0, 7).reshape(1, 1, 2, 3)
    assert translation(sample, torch.tensor([[0.5, 0.99]]), 2 / 3)[0, 0].tolist() == [[0, 0, 1], [0, 0, 4]]


@pytest.mark.parametrize(("side", "largest"), [(28, 4), (32, 4), (11, 1), (12, 2)])
def test_the_largest_shift_is_rounded_half_up(side: int, largest: int):
    """An eighth of 28, 32, 11 and 12 is 3.5, 4, 1.375 and 1.5."""
    sample = torch.arange(1.0, side + 1).reshape(1, 1, 1, side)
    found = translation(sample, torch.tensor([[0.5, 0.9999]]), 1 / 8).flatten().tolist()
    assert found == [0.0] * largest + list(range(1, side - largest + 1))


def test_cutout_by_hand():
    """Half of a side of 4 is 2: the centre c covers the rows c - 1 and c, some of which may be outside."""
    sample = torch.ones(2, 1, 4, 4)
    found = cutout(sample, torch.tensor([[0.5, 0.0], [0.99, 0.3]]), 1 / 2)
    assert found[0, 0].tolist() == [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert found[1, 0].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]]


def test_cutout_of_an_odd_size_has_a_pixel_in_its_middle():
    found = cutout(torch.ones(1, 1, 5, 5), torch.tensor([[0.5, 0.5]]), 0.6)
    assert found[0, 0].tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]


def test_the_mean_of_a_grey_image_shifts_by_a_uniform_number_up_to_a_half():
    """Saturation and contrast do not change a grey image. U[-1/2, 1/2] has the deviation 1 / sqrt(12)."""
    moved = changed(torch.full((20_000, 3, 2, 2), 0.25), policies=("color",)) - 0.25
    shift = moved.mean(dim=(1, 2, 3))
    torch.testing.assert_close(moved, shift[:, None, None, None].expand_as(moved), atol=1e-6, rtol=0)
    assert -0.5 <= shift.min() < -0.499
    assert 0.499 < shift.max() <= 0.5
    assert shift.mean().item() == pytest.approx(0, abs=0.01)
    assert shift.std().item() == pytest.approx(12**-0.5, rel=0.02)


def test_every_shift_up_to_an_eighth_is_as_likely_as_any_other():
    sample = torch.zeros(20_000, 1, 32, 24)
    sample[:, :, 16, 12] = 1
    places = changed(sample, policies=("translation",)).flatten(1)
    assert bool((places.sum(1) == 1).all())
    rows, columns = places.argmax(1) // 24 - 16, places.argmax(1) % 24 - 12
    for shifts, largest in ((rows, 4), (columns, 3)):
        values, counts = shifts.unique(return_counts=True)
        assert values.tolist() == list(range(-largest, largest + 1))
        expected = 20_000 / (2 * largest + 1)
        assert (counts - expected).abs().max() < 5 * expected**0.5


def test_cutout_blanks_a_quarter_where_it_lies_within_the_image():
    blank = changed(torch.ones(20_000, 1, 8, 8), policies=("cutout",)) == 0
    sizes = blank.flatten(1).sum(1)
    assert sizes.max() == 16
    # Centres are 0..8, of which 2..6 leave 4 rows; those next to them 3, 3, 2 and 2.
    assert sizes.double().mean().item() == pytest.approx(((5 * 4 + 2 * 3 + 2 * 2) / 9) ** 2, rel=0.01)


def test_policies_can_be_left_out_one_by_one_and_all():
    sample = images(16, 3, 16, 16)
    assert torch.equal(changed(sample, policies=()), sample)
    shifted = changed(sample, policies=("translation",))
    assert set(shifted.flatten().tolist()) <= {*sample.flatten().tolist(), 0.0}
    blanked = changed(sample, policies=("cutout",))
    assert bool(((blanked == sample) | (blanked == 0)).all())
    coloured = changed(sample, policies=("color",))
    assert bool((coloured != sample).any(dim=(1, 2, 3)).all())


def test_policies_are_applied_in_their_order():
    """Colours that come last tint what was blanked before."""
    sample = torch.full((1, 1, 8, 8), 0.5)
    assert bool((changed(sample, policies=("color", "cutout")) == 0).any())
    assert not bool((changed(sample, policies=("cutout", "color")) == 0).any())


def test_samples_have_parameters_of_their_own():
    same = images(1, 3, 16, 16).expand(8, 3, 16, 16)
    found = changed(same)
    assert len({tuple(image.flatten().tolist()) for image in found}) == 8


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_any_number_of_channels(channels: int):
    sample = images(4, channels, 9, 12)
    found = changed(sample)
    assert found.shape == sample.shape
    assert not torch.equal(found, sample)


def test_parts_of_a_tuple_are_changed_in_the_same_way():
    sample = images(8, 3, 16, 16)
    first, second = changed((sample, sample))
    assert torch.equal(first, second)
    assert torch.equal(first, changed(sample))


def test_a_part_of_twice_the_size_is_shifted_twice_as_far_up_to_a_pixel():
    small, large = torch.zeros(64, 1, 16, 16), torch.zeros(64, 3, 32, 32)
    small[:, :, 8, 8] = 1
    large[:, :, 16, 16] = 1
    near, far = changed((small, large), policies=("translation",))
    shift = near.flatten(1).argmax(1) // 16 - 8, far[:, 0].flatten(1).argmax(1) // 32 - 16
    assert (2 * shift[0] - shift[1]).abs().max() <= 1


def test_draws_come_from_the_generator_given():
    sample = images(4, 3, 8, 8)
    before = torch.get_rng_state()
    assert torch.equal(changed(sample, seed=1), changed(sample, seed=1))
    assert not torch.equal(changed(sample, seed=1), changed(sample, seed=2))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype):
    assert changed(images(2, 3, 8, 8).to(dtype)).dtype == dtype


@pytest.mark.parametrize("policies", [("color",), ("translation",), ("cutout",), ("color", "translation", "cutout")])
def test_gradients_of_both_orders_agree_with_finite_differences(policies: tuple):
    sample = images(2, 3, 6, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: changed(x, policies=policies), sample)
    assert torch.autograd.gradgradcheck(lambda x: changed(x, policies=policies).square(), sample)


def test_large_values_stay_finite():
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        sample = (images(4, 3, 8, 8).sign() * size).to(dtype).requires_grad_()
        found = changed(sample)
        found.sum().backward()
        assert bool(found.isfinite().all())
        assert bool(sample.grad.isfinite().all())


@pytest.mark.parametrize("spec", [TensorSpec((8,)), TensorSpec((5, 8))])
def test_samples_that_are_not_images_are_refused(spec: TensorSpec):
    with pytest.raises(BadInput, match=r"changes images, but an example here is"):
        DiffAugment().check(SimpleNamespace(discriminator_inputs=lambda: (TensorSpec((3, 8, 8)), spec)), ())
    DiffAugment().check(SimpleNamespace(discriminator_inputs=lambda: (TensorSpec((3, 8, 8)),)), ())


@pytest.mark.parametrize(
    "settings",
    [
        {"policies": ("flip",)},
        {"policies": ("color", "color")},
        {"translation_ratio": 1.0},
        {"translation_ratio": -0.1},
        {"cutout_ratio": 1.1},
    ],
)
def test_invalid_settings_are_refused(settings: dict):
    with pytest.raises(ValidationError):
        DiffAugment(**settings)
