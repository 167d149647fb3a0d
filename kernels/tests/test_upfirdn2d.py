"""upfirdn2d and its companions: the shared checks, and values against scipy and torch.nn.functional."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ganframe_kernels.conv2d_resample import conv2d_resample
from ganframe_kernels.testing import (
    ARCHITECTURES,
    TOLERANCE,
    Case,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)
from ganframe_kernels.upfirdn2d import (
    downsample2d,
    filter2d,
    setup_filter,
    upfirdn2d,
    upfirdn2d_bias_act,
    upsample2d,
)
from torch.nn import functional as F

IMPLEMENTATIONS = ("reference", "triton")
LARGE = (32, 128, 256, 256)


def on_device(function, taps, *arguments, **options):
    """The function with a filter that follows the device of x."""
    return lambda x, **tensors: function(x, taps.to(x.device), *arguments, **tensors, **options)


def taps(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


CASES = [
    Case(
        "uneven",
        on_device(upfirdn2d, taps(3, 4), up=[2, 3], down=[3, 2], padding=[3, -1, 0, 2], flip_filter=True, gain=1.7),
        shapes={"x": (2, 2, 3, 5)},
        large={"x": LARGE},
    ),
    Case(
        "separable",
        on_device(upsample2d, setup_filter([1.0, 2, 4, 1], separable=True)),
        {"x": (1, 2, 3, 2)},
        {"x": LARGE},
    ),
    Case(
        "fused",
        on_device(upfirdn2d_bias_act, taps(4, 4), padding=[2, 1], down=2, act="lrelu", clamp=1.0),
        shapes={"x": (2, 2, 5, 3), "b": (2,)},
        large={"x": LARGE, "b": (128,)},
    ),
]


@pytest.mark.parametrize("check", checks(CASES), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize("check", slow_checks(CASES), ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture_and_dtype():
    assert_compiles_ahead(__file__, ARCHITECTURES, tuple(TOLERANCE))


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("flip_filter", [False, True])
@pytest.mark.parametrize(
    ("up", "down", "padding"), [(1, 1, 0), (3, 2, 2), (2, 3, (4, 1, 3, 5)), (1, 2, (-1, 2, -2, 0))]
)
def test_agrees_with_scipy(name, flip_filter, up, down, padding):
    signal = pytest.importorskip("scipy.signal")
    x, f = torch.randn(2, 2, 7, 5, dtype=torch.float64), taps(3, 4).double()
    left, right, top, bottom = (padding,) * 4 if isinstance(padding, int) else padding
    with implementation(name):
        y = upfirdn2d(x.to(default_device()), f.to(default_device()), up, down, padding, flip_filter, gain=0.5).cpu()
    operate = signal.correlate2d if flip_filter else signal.convolve2d
    for n in range(2):
        for c in range(2):
            image = np.zeros((7 * up, 5 * up))
            image[::up, ::up] = x[n, c].numpy()
            image = np.pad(image, [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))])
            image = image[
                max(-top, 0) : image.shape[0] - max(-bottom, 0), max(-left, 0) : image.shape[1] - max(-right, 0)
            ]
            expected = 0.5 * operate(image, f.numpy(), mode="valid")[::down, ::down]
            np.testing.assert_allclose(y[n, c].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_sizes_and_brightness(size):
    x, f = torch.ones(1, 1, 8, 6), setup_filter([1.0] * size)
    assert filter2d(x, f).shape == (1, 1, 8, 6)
    assert downsample2d(x, f).shape == (1, 1, 4, 3)
    assert upsample2d(x, f).shape == (1, 1, 16, 12)
    assert filter2d(x, f)[0, 0, 4, 3].item() == pytest.approx(1.0)
    assert downsample2d(x, f)[0, 0, 2, 1].item() == pytest.approx(1.0)
    # Without an odd tap, every output pixel sees the same share of the filter.
    assert upsample2d(x, setup_filter([1.0, 1.0]))[0, 0, 4:6, 4:6].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_box_downsampling_is_average_pooling():
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(downsample2d(x, setup_filter([1.0, 1.0])), F.avg_pool2d(x, 2), atol=1e-7, rtol=0)


def test_setup_filter():
    assert setup_filter(None).tolist() == [[1.0]]
    assert setup_filter([1, 3, 3, 1]).sum().item() == pytest.approx(1)
    assert setup_filter([1, 3, 3, 1]).shape == (4, 4)
    assert setup_filter(torch.ones(8)).shape == (8,)
    assert setup_filter([1, 3], normalize=False, flip_filter=True, separable=True, gain=4).tolist() == [6, 2]
    assert setup_filter([[1, 3]], normalize=False, gain=4).tolist() == [[4, 12]]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("flip_weight", [False, True])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 1), (3, (2, 0, 1, -1)), (2, 0)])
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
def test_conv2d_resample_agrees_with_its_definition(name, flip_weight, kernel, padding, up, down):
    x, w, f = torch.randn(1, 4, 5, 6).double(), torch.randn(6, 2, kernel, kernel).double(), taps(4, 3).double()
    with implementation("reference"):
        left, right, top, bottom = (padding,) * 4 if isinstance(padding, int) else padding
        if up > 1:
            left, right, top, bottom = (
                left + (2 + up) // 2,
                right + (3 - up) // 2,
                top + (3 + up) // 2,
                bottom + (4 - up) // 2,
            )
        if down > 1:
            left, right = left + (4 - down) // 2, right + (3 - down) // 2
            top, bottom = top + (5 - down) // 2, bottom + (4 - down) // 2
        y = upfirdn2d(x, f if up > 1 else None, up, 1, [left, right, top, bottom], gain=up**2)
        y = F.conv2d(y, w if flip_weight else w.flip(2, 3), groups=2)
        y = upfirdn2d(y, f, 1, down) if down > 1 else y
    with implementation(name):
        device = default_device()
        actual = conv2d_resample(
            x.to(device), w.to(device), f.to(device), up, down, padding, groups=2, flip_weight=flip_weight
        )
    torch.testing.assert_close(actual.cpu(), y, atol=TOLERANCE[torch.float64], rtol=0)


@pytest.mark.parametrize("act", ["lrelu", "tanh"])
def test_fused_is_the_composition(act):
    x, f, b = torch.randn(2, 3, 5, 4).double(), taps(4, 4), torch.randn(3).double()
    with implementation("reference"):
        expected = (
            F.leaky_relu(upfirdn2d(x, f, padding=2) + b[:, None, None], 0.2)
            if act == "lrelu"
            else torch.tanh(upfirdn2d(x, f, padding=2) + b[:, None, None])
        )
    for name in IMPLEMENTATIONS:
        device = default_device()
        with implementation(name):
            y = upfirdn2d_bias_act(x.to(device), f.to(device), b.to(device), padding=2, act=act, act_gain=2, clamp=1.5)
        torch.testing.assert_close(y.cpu(), (2 * expected).clamp(-1.5, 1.5), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.ones(3, 4, 4)}, r"x: expected 4 dimensions \(NCHW\); given shape \(3, 4, 4\)"),
        ({"f": torch.ones(2, 2, 2)}, r"f: expected shape .* given shape \(2, 2, 2\)"),
        ({"f": torch.ones(2, 2, requires_grad=True)}, "f: expected a constant filter; given one that requires"),
        ({"up": 0}, "up: expected a factor of at least 1.*given 0"),
        ({"padding": [1, 2, 3]}, r"padding: expected a number, .* given \[1, 2, 3\]"),
        ({"padding": -2}, r"x: expected an image that covers the filter \(2, 2\); given shape \(1, 1, 4, 4\)"),
        ({"impl": "fast"}, "impl: expected one of cuda, ref; given 'fast'"),
    ],
)
def test_errors_name_argument_expected_and_given(arguments, message):
    with pytest.raises(ValueError, match=message):
        upfirdn2d(**{"x": torch.ones(1, 1, 4, 4), "f": torch.ones(2, 2), **arguments})
