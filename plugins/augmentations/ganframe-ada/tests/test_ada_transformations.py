"""The pipeline against hand computations: matrices, resampling, colours, and the draws of their parameters."""

import math

import numpy as np
import pytest
import torch
from ganframe_ada import ADA
from ganframe_ada.color import Color, recolor
from ganframe_ada.geometry import Geometry
from ganframe_ada.random_parameters import RandomParameters
from ganframe_ada.resample import resample
from pydantic import ValidationError
from scipy.ndimage import map_coordinates
from torch import Tensor

DOUBLE = {"dtype": torch.float64}
GROUPS = ("blit", "geometry", "color")


def augmented(sample, seed=0, p=1.0, **settings):
    return ADA(p=p, adapt=False, **settings).build()(sample, torch.Generator().manual_seed(seed))


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **DOUBLE) * 2 - 1


def geometry(**given) -> Geometry:
    """Return the parameters of one sample to which only these transformations are applied."""
    nothing = {name: torch.zeros(1) for name in Geometry.__dataclass_fields__}
    nothing |= {"shift": torch.zeros(1, 2), "fraction": torch.zeros(1, 2)}
    return Geometry(**nothing | {name: torch.as_tensor([value]) for name, value in given.items()})


def moved(sample: Tensor, **given) -> Tensor:
    return resample(sample, geometry(**given).inverse(*sample.shape[2:]))


def recolored(sample: Tensor, **given) -> Tensor:
    nothing = {name: torch.zeros(1) for name in Color.__dataclass_fields__}
    color = Color(**nothing | {name: torch.as_tensor([value]) for name, value in given.items()})
    return recolor(sample, color.matrix())


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, **DOUBLE).reshape(1, -1, 1, 1)


def test_pixels_are_copied_exactly():
    """Rows of a 3 x 3 image: 1 2 3, 4 5 6, 7 8 9. Beyond the edge it is mirrored about the outermost pixel."""
    sample = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    for given, expected in (
        ({"mirror": 1.0}, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ({"quarters": 1.0}, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
        ({"quarters": 2.0}, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
        ({"quarters": 3.0}, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
        ({"shift": [1 / 3, 0.0]}, [[2, 1, 2], [5, 4, 5], [8, 7, 8]]),
        ({"shift": [0.0, 1 / 3]}, [[4, 5, 6], [1, 2, 3], [4, 5, 6]]),
        ({"shift": [0.1, -0.1]}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ({"mirror": 1.0, "quarters": 1.0}, [[9, 6, 3], [8, 5, 2], [7, 4, 1]]),
    ):
        assert moved(sample, **given)[0, 0].tolist() == expected, given


def test_whole_pixels_of_large_images_are_copied_exactly():
    sample = images(1, 3, 512, 512).float()
    assert torch.equal(moved(sample, shift=[0.1, 0.0])[..., 51:], sample[..., :-51])
    assert torch.equal(moved(sample, quarters=1.0), sample.rot90(-1, (2, 3)))


def test_a_shift_by_half_a_pixel_is_the_mean_of_neighbours():
    sample = torch.tensor([1.0, 3, 5, 9]).reshape(1, 1, 1, 4)
    assert moved(sample, fraction=[1 / 8, 0.0]).flatten().tolist() == pytest.approx([2, 2, 4, 7])
    assert moved(sample, fraction=[-1 / 16, 0.0]).flatten().tolist() == pytest.approx([1.5, 3.5, 6, 8])


def test_scales_by_hand():
    """On 5 pixels, twice the size shows every half pixel about the centre, half the size every second."""
    sample = torch.tensor([0.0, 1, 2, 3, 4]).reshape(1, 1, 1, 5).repeat(1, 1, 5, 1)
    assert moved(sample, scale=1.0)[0, 0, 0].tolist() == pytest.approx([1, 1.5, 2, 2.5, 3])
    assert moved(sample, scale=-1.0)[0, 0, 0].tolist() == pytest.approx([2, 0, 2, 4, 2])
    assert moved(sample, stretch=1.0)[0, 0, 0].tolist() == pytest.approx([1, 1.5, 2, 2.5, 3])
    upright = sample.transpose(2, 3)
    assert moved(upright, stretch=1.0)[0, 0, :, 0].tolist() == pytest.approx([2, 0, 2, 4, 2])


@pytest.mark.parametrize("name", ["first_angle", "second_angle"])
def test_a_rotation_by_a_quarter_is_a_quarter_turn(name: str):
    sample = images(1, 2, 5, 5)
    torch.testing.assert_close(moved(sample, **{name: math.pi / 2}), moved(sample, quarters=1.0), atol=1e-6, rtol=0)


def test_two_rotations_about_a_stretch_compose_in_their_order():
    """A quarter turn, a stretch of x, and a quarter back are a stretch of y."""
    sample = images(1, 1, 9, 9)
    turned = moved(sample, first_angle=math.pi / 2, stretch=0.5, second_angle=-math.pi / 2)
    torch.testing.assert_close(turned, moved(sample, stretch=-0.5), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(7, 9), (6, 4)])
def test_all_transformations_together_agree_with_scipy(shape: tuple[int, int]):
    """The forward map, multiplied out with numpy and inverted; scipy's `mirror` reflects about the outermost pixels."""
    height, width = shape
    given = {
        "mirror": 1.0,
        "quarters": 3.0,
        "shift": [0.12, -0.11],
        "scale": 0.3,
        "first_angle": 0.7,
        "stretch": -0.4,
        "second_angle": -1.9,
        "fraction": [0.21, 0.07],
    }

    def turn(angle: float) -> np.ndarray:
        return np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])

    def shift(x: float, y: float) -> np.ndarray:
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    forward = np.diag([-1.0, 1, 1])
    for step in (
        turn(3 * math.pi / 2),
        shift(round(0.12 * width), round(-0.11 * height)),
        np.diag([2**0.3, 2**0.3, 1]),
        turn(0.7),
        np.diag([2**-0.4, 2**0.4, 1]),
        turn(-1.9),
        shift(0.21 * width, 0.07 * height),
    ):
        forward = step @ forward
    sample = images(1, 1, height, width)
    rows, columns = np.mgrid[:height, :width]
    new = np.stack([columns.ravel() - (width - 1) / 2, rows.ravel() - (height - 1) / 2, np.ones(height * width)])
    old_x, old_y, _ = np.linalg.inv(forward) @ new
    places = [old_y + (height - 1) / 2, old_x + (width - 1) / 2]
    expected = map_coordinates(sample[0, 0].numpy(), places, order=1, mode="mirror").reshape(shape)
    assert np.abs(moved(sample, **given)[0, 0].numpy() - expected).max() < 2e-6


def test_brightness_and_contrast_by_hand():
    """The contrast comes after the brightness: (x + b) 2^c."""
    assert recolored(pixel(0.2, -0.4, 0.0), brightness=0.1).flatten().tolist() == pytest.approx([0.3, -0.3, 0.1])
    found = recolored(pixel(0.2, -0.4, 0.0), brightness=0.1, contrast=1.0)
    assert found.flatten().tolist() == pytest.approx([0.6, -0.6, 0.2])


def test_the_luma_flip_by_hand():
    """The mean 0.1 becomes -0.1; the distances from it, 0.5, -0.1 and -0.4, stay."""
    found = recolored(pixel(0.6, 0.0, -0.3), luma_flip=1.0)
    assert found.flatten().tolist() == pytest.approx([0.4, -0.2, -0.5], abs=1e-6)
    brighter = recolored(pixel(0.6, 0.0, -0.3), brightness=0.2, luma_flip=1.0)
    assert brighter.flatten().tolist() == pytest.approx([0.2, -0.4, -0.7], abs=1e-6)


def test_a_third_of_a_turn_of_the_hue_exchanges_channels():
    found = recolored(pixel(0.6, 0.0, -0.3), hue=2 * math.pi / 3)
    assert found.flatten().tolist() == pytest.approx([-0.3, 0.6, 0.0], abs=1e-6)


def test_half_a_turn_of_the_hue_by_hand():
    """The distances from the grey axis change their sign."""
    found = recolored(pixel(0.6, 0.0, -0.3), hue=math.pi)
    assert found.flatten().tolist() == pytest.approx([-0.4, 0.2, 0.5], abs=1e-6)


@pytest.mark.parametrize(("log2", "factor"), [(1.0, 2.0), (-1.0, 0.5)])
def test_saturation_scales_the_distances_from_grey(log2: float, factor: float):
    found = recolored(pixel(0.6, 0.0, -0.3), saturation=log2)
    expected = [0.1 + factor * distance for distance in (0.5, -0.1, -0.4)]
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_grey_images_are_changed_as_three_equal_channels_are():
    """And their hue and saturation do nothing."""
    changes = {"brightness": 0.1, "contrast": 0.4, "luma_flip": 1.0, "hue": 1.1, "saturation": 0.7}
    grey, colored = recolored(pixel(0.3), **changes), recolored(pixel(0.3, 0.3, 0.3), **changes)
    torch.testing.assert_close(colored, grey.expand_as(colored), atol=1e-6, rtol=0)
    assert grey.item() == pytest.approx(-(0.4 * 2**0.4), abs=1e-6)


def draws(p: float, count: int = 40_000) -> tuple[Geometry, Color]:
    parameters = RandomParameters(count, torch.tensor(p), torch.Generator().manual_seed(0))
    return Geometry.draw(parameters, GROUPS), Color.draw(parameters)


def test_each_transformation_is_applied_with_the_probability_p():
    """When applied, a mirror and a luma flip do nothing half of the time, quarter turns a quarter of it."""
    p = 0.3
    drawn = [vars(parameters) for parameters in draws(p)]
    shares = {name: (values != 0).float().mean().item() for parameters in drawn for name, values in parameters.items()}
    rotation = 1 - math.sqrt(1 - p)
    expected = dict.fromkeys(shares, p) | {"mirror": p / 2, "luma_flip": p / 2, "quarters": p * 3 / 4}
    expected |= {"first_angle": rotation, "second_angle": rotation}
    assert shares == pytest.approx(expected, abs=0.01)
    first, second = drawn[0]["first_angle"] != 0, drawn[0]["second_angle"] != 0
    assert (first | second).float().mean().item() == pytest.approx(p, abs=0.01)


def test_parameters_have_the_deviations_of_the_paper():
    drawn_geometry, color = draws(1.0)
    uniform = 1 / math.sqrt(12)
    for found, expected in (
        (drawn_geometry.shift, uniform / 4),
        (drawn_geometry.scale, 0.2),
        (drawn_geometry.first_angle, uniform * 2 * math.pi),
        (drawn_geometry.stretch, 0.2),
        (drawn_geometry.second_angle, uniform * 2 * math.pi),
        (drawn_geometry.fraction, 1 / 8),
        (color.brightness, 0.2),
        (color.contrast, 0.5),
        (color.hue, uniform * 2 * math.pi),
        (color.saturation, 1.0),
    ):
        assert found.mean().item() == pytest.approx(0, abs=0.02 * expected)
        assert found.std().item() == pytest.approx(expected, rel=0.02)
    assert drawn_geometry.quarters.unique(return_counts=True)[1].tolist() == pytest.approx([10_000] * 4, rel=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_drawn_is_exactly_the_identity(dtype: torch.dtype, channels: int):
    sample = images(16, channels, 19, 32).to(dtype)
    found = augmented(sample, p=0.0)
    assert found.dtype == dtype
    assert torch.equal(found, sample)


def test_samples_for_which_nothing_is_drawn_do_not_change():
    """Mirror and luma flip do nothing half of the time, quarter turns a quarter of it, and so do shifts: those of up to
    one pixel either way round to 0 in both directions. Eight more, both rotations counted as one, always do."""
    p = 0.05
    sample = images(2000, 3, 8, 8).float()
    same = (augmented(sample, p=p) == sample).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx((1 - p / 2) ** 2 * (1 - 3 / 4 * p) ** 2 * (1 - p) ** 8, abs=0.03)


def test_groups_are_switched_one_by_one():
    sample = images(32, 3, 8, 8).float()
    assert torch.equal(augmented(sample, groups=()), sample)
    blitted = augmented(sample, groups=("blit",))
    assert set(blitted.flatten().tolist()) <= set(sample.flatten().tolist())
    assert not torch.equal(blitted, sample)
    flat = torch.linspace(-1, 1, 32)[:, None, None, None].expand(32, 3, 8, 8).contiguous()
    torch.testing.assert_close(augmented(flat, groups=("blit", "geometry")), flat)
    coloured = augmented(flat, groups=("color",))
    torch.testing.assert_close(coloured, coloured[:, :1, :1, :1].expand_as(flat), atol=1e-5, rtol=0)
    assert not torch.equal(coloured, flat)


def test_parts_of_a_tuple_are_changed_in_the_same_way():
    sample = images(8, 3, 16, 16)
    first, second = augmented((sample, sample))
    assert torch.equal(first, second)
    assert torch.equal(first, augmented(sample))


def test_autocast_does_not_change_the_coordinates():
    sample = images(4, 3, 64, 64).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = augmented(sample)
    assert torch.equal(found, augmented(sample))


@pytest.mark.parametrize("groups", [("blit",), ("geometry",), ("color",), GROUPS])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_both_orders_agree_with_finite_differences(groups: tuple, channels: int):
    sample = images(1, channels, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmented(x, groups=groups), sample)
    assert torch.autograd.gradgradcheck(lambda x: augmented(x, groups=groups).pow(2), sample)


def test_a_gradient_penalty_passes_through_to_the_weights():
    """R1 of a linear discriminator w: the gradient at the sample is A^T w, that of its square norm 2 A A^T w."""
    sample = images(1, 1, 4, 4).requires_grad_()
    matrix = torch.autograd.functional.jacobian(augmented, sample.detach()).reshape(16, 16)
    offset = augmented(torch.zeros_like(sample)).flatten()
    torch.testing.assert_close(augmented(sample).flatten(), matrix @ sample.flatten() + offset)
    weight = images(16, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad((augmented(sample).flatten() * weight).sum(), sample, create_graph=True)
    gradient.square().sum().backward()
    torch.testing.assert_close(weight.grad, 2 * matrix @ matrix.T @ weight.detach())


def test_large_values_stay_finite():
    for dtype, size in ((torch.float32, 1e4), (torch.bfloat16, 1e3)):
        sample = (images(16, 3, 8, 8).sign() * size).to(dtype).requires_grad_()
        found = augmented(sample)
        found.sum().backward()
        assert bool(found.isfinite().all())
        assert bool(sample.grad.isfinite().all())


def test_draws_come_from_the_generator_given():
    sample = images(4, 3, 8, 8)
    before = torch.get_rng_state()
    assert torch.equal(augmented(sample, seed=1), augmented(sample, seed=1))
    assert not torch.equal(augmented(sample, seed=1), augmented(sample, seed=2))
    assert torch.equal(before, torch.get_rng_state())


def test_other_numbers_of_channels_work_without_colours():
    sample = images(2, 4, 8, 8)
    assert augmented(sample, groups=("blit", "geometry")).shape == sample.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 1)])
def test_sides_of_one_pixel(shape: tuple[int, int]):
    sample = torch.full((8, 1, *shape), 0.5)
    torch.testing.assert_close(augmented(sample, groups=("blit", "geometry")), sample)


@pytest.mark.parametrize(
    "settings",
    [
        {"p": 1.1},
        {"p": -0.1},
        {"target": 2},
        {"interval": 0},
        {"images": 0},
        {"groups": ("noise",)},
        {"groups": ("blit", "blit")},
    ],
)
def test_invalid_settings_are_refused(settings: dict):
    with pytest.raises(ValidationError):
        ADA(**settings)
