"""modulated_conv2d: the scaled form against the grouped form and against closed forms."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels import upfirdn2d
from ganframe_kernels.modulated_conv2d import demodulation, modulated_conv2d, modulated_conv2d_act
from ganframe_kernels.testing import Case, assert_close, checks, implementation, orders, slow_checks
from torch.nn import functional as F

CASES = [
    Case(
        "plain",
        partial(modulated_conv2d, padding=1),
        shapes={"x": (2, 2, 2, 1), "weight": (3, 2, 3, 1), "styles": (2, 2)},
        large={},
    ),
    Case(
        "act",
        partial(modulated_conv2d_act, padding=[0, 1], clamp=2.1, flip_weight=False),
        shapes={"x": (2, 2, 2, 1), "weight": (3, 2, 2, 1), "styles": (2, 2), "bias": (3,), "next_style": (2, 3)},
        large={},
    ),
    Case(
        "pointwise",
        modulated_conv2d,
        shapes={"x": (2, 2, 2, 2), "weight": (3, 2, 1, 1), "styles": (2, 2)},
        large={},
    ),
]


def own(check):
    # The pointwise form launches no kernel. For the half types there is a check of its own below.
    return check.__name__ != "pointwise: opcheck" and not check.__name__.endswith("float16")


@pytest.mark.parametrize("check", [check for check in checks(CASES) if own(check)], ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize("check", slow_checks(CASES), ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_half_types(case, dtype):
    # The style, the weights, the convolution, the result and each of their gradients are rounded.
    inputs = case.tensors(dtype)
    exact = {name: x.detach().double().requires_grad_() for name, x in inputs.items()}
    with implementation("reference"):
        expected = orders(case.function, exact, 2)
    with implementation("triton"):
        actual = orders(case.function, inputs, 2)
    assert {y.dtype for y in actual} == {dtype}
    assert_close(actual, expected, 5 * torch.finfo(dtype).eps)


def drawn(dtype=torch.float64, channels=5, outputs=4, window=3, samples=3):
    torch.manual_seed(0)
    x = torch.randn(samples, channels, 7, 6, dtype=dtype)
    return x, torch.randn(outputs, channels, window, window, dtype=dtype), torch.randn(samples, channels, dtype=dtype)


def one_by_one(x, weight, styles, **options):
    """Each sample on its own, with its own weights."""
    w = torch.einsum("oihw,ni->noihw", weight, styles)
    w = w / torch.linalg.vector_norm(w, dim=(2, 3, 4), keepdim=True)
    return torch.cat([F.conv2d(x[n : n + 1], w[n], **options) for n in range(x.shape[0])])


def test_equals_each_sample_on_its_own():
    x, weight, styles = drawn()
    expected = one_by_one(x, weight, styles, padding=1)
    for name in ("reference", "triton"):
        with implementation(name):
            assert_close([modulated_conv2d(x, weight, styles, padding=1)], [expected], 1e-8)
            assert_close(
                [modulated_conv2d(x, weight.flip([2, 3]), styles, padding=1, flip_weight=False)], [expected], 1e-8
            )


def test_padding_is_x_then_y():
    x, weight, styles = drawn()
    expected = one_by_one(x, weight, styles, padding=(1, 0))
    assert_close([modulated_conv2d(x, weight, styles, padding=[0, 1])], [expected], 1e-8)
    assert_close([modulated_conv2d(x, weight, styles, padding=[0, 0, 1, 1])], [expected], 1e-8)


def test_resampling_flips_weights():
    x, weight, styles = drawn()
    f = upfirdn2d.setup_filter([1, 3, 3, 1])
    expected = modulated_conv2d(x, weight.flip([2, 3]), styles, up=2, resample_filter=f)
    assert_close([modulated_conv2d(x, weight, styles, up=2, resample_filter=f, flip_weight=False)], [expected], 1e-10)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("channels_last", [True, False])
def test_forms_agree(demodulate, window, channels_last):
    x, weight, styles = drawn(window=window)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    results = list[torch.Tensor]()
    for name in ("reference", "triton"):
        with implementation(name):
            results.append(modulated_conv2d(x, weight, styles, demodulate=demodulate, padding=window // 2))
    assert_close(results[1:], results[:1], 1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {"up": 2, "padding": 1},
        {"down": 2, "padding": 1},
        {"up": 2, "padding": [1, 2], "flip_weight": False},
        {"padding": [1, 0, 2, 1]},
    ],
)
def test_forms_agree_with_resampling(options):
    x, weight, styles = drawn()
    f = upfirdn2d.setup_filter([1, 3, 3, 1])
    results = list[torch.Tensor]()
    for name in ("reference", "auto"):
        with implementation(name):
            results.append(modulated_conv2d(x, weight, styles, resample_filter=f, **options))
    assert_close(results[1:], results[:1], 1e-10)


def test_upsampling_doubles_a_constant():
    # A 1x1 weight of ones, and a filter that keeps the mean: the interior stays constant.
    x, f = torch.ones(1, 1, 6, 6), upfirdn2d.setup_filter([1, 3, 3, 1])
    y = modulated_conv2d(
        x, torch.ones(1, 1, 1, 1), torch.full((1, 1), 3.0), up=2, padding=0, resample_filter=f, demodulate=False
    )
    assert y.shape == (1, 1, 12, 12)
    assert torch.allclose(y[:, :, 2:-2, 2:-2], torch.full((1, 1, 8, 8), 3.0))


def test_demodulated_weights_have_norm_one():
    _, weight, styles = drawn()
    w = torch.einsum("oihw,ni,no->noihw", weight, styles, demodulation(weight, styles))
    assert torch.allclose(torch.linalg.vector_norm(w, dim=(2, 3, 4)), torch.ones(3, 4, dtype=torch.float64), rtol=1e-8)


def test_demodulation_keeps_float32_under_autocast():
    _, weight, styles = drawn(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = demodulation(weight, styles)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), demodulation(weight.double(), styles.double()), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    x, weight, styles = drawn(torch.float32)
    exact = modulated_conv2d_act(x.double(), weight.double(), styles.double())
    for name in ("reference", "triton"):
        with implementation(name), torch.autocast("cpu", dtype):
            y = modulated_conv2d_act(x, weight, styles)
        assert y.dtype == dtype
        assert_close([y], [exact], 2e-2 if dtype == torch.bfloat16 else 2e-3)


def test_float16_does_not_overflow():
    x, weight, styles = drawn(torch.float16, channels=64)
    exact = modulated_conv2d(x.double(), weight.double(), styles.double() * 1e4)
    with implementation("triton"):
        y = modulated_conv2d(x, weight, styles * 1e4)
    assert_close([y], [exact], 2e-3)


def test_a_style_passed_along_gives_the_same():
    x, weight, styles = drawn()
    second, next_style = torch.randn(6, 4, 3, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    for name in ("reference", "triton"):
        with implementation(name):
            y = modulated_conv2d_act(x, weight, styles, next_style=next_style)
            found = modulated_conv2d_act(y, second, next_style, styled=True)
            expected = modulated_conv2d_act(modulated_conv2d_act(x, weight, styles), second, next_style)
        assert_close([found], [expected], 1e-10)


def test_path_length_of_two_layers():
    torch.manual_seed(0)
    kind = {"dtype": torch.float64, "requires_grad": True}
    first, second, bias = torch.randn(3, 2, 3, 3, **kind), torch.randn(2, 3, 3, 3, **kind), torch.randn(3, **kind)
    s1, s2, strength = torch.randn(2, 2, **kind), torch.randn(2, 3, **kind), torch.tensor(0.5, **kind)
    x, noise = torch.randn(2, 2, 2, 2, dtype=torch.float64), torch.randn(1, 1, 4, 4, dtype=torch.float64)
    f = upfirdn2d.setup_filter([1, 3, 3, 1])
    direction = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    results = list[list[torch.Tensor]]()
    for name in ("reference", "triton"):
        with implementation(name):
            y = modulated_conv2d_act(x, first, s1, noise, strength, bias, s2, up=2, padding=1, resample_filter=f)
            y = modulated_conv2d_act(y, second, s2, padding=1, styled=True)
            g1, g2 = torch.autograd.grad((y * direction).sum(), [s1, s2], create_graph=True)
            lengths = g1.square().sum(1).sqrt() + g2.square().sum(1).sqrt()
            penalty = (lengths - 1).square().mean()
            results.append([lengths, *torch.autograd.grad(penalty, [first, second, bias, s1, s2, strength])])
    assert_close(results[1], results[0], 1e-10)


def test_act_is_the_convolution_with_noise_bias_and_activation():
    x, weight, styles = drawn()
    noise, bias = torch.randn(3, 1, 7, 6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    strength = torch.tensor(0.3, dtype=torch.float64)
    y = modulated_conv2d_act(x, weight, styles, noise, strength, bias, padding=1, alpha=0.1, gain=3, clamp=4)
    z = one_by_one(x, weight, styles, padding=1) + 0.3 * noise + bias.view(4, 1, 1)
    assert_close([y], [(F.leaky_relu(z, 0.1) * 3).clamp(-4, 4)], 1e-8)


@pytest.mark.parametrize("shape", [(), (7, 6), (3, 1, 7, 6), (4, 1, 1)])
def test_noise_broadcasts_and_has_its_gradient(shape):
    x, weight, styles = drawn()
    noise = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = modulated_conv2d(x, weight, styles, noise, padding=1)
    assert_close([y], [one_by_one(x, weight, styles, padding=1) + noise], 1e-8)
    (dnoise,) = torch.autograd.grad(y.sum(), [noise])
    assert torch.allclose(dnoise, torch.full(shape, y.numel() / noise.numel(), dtype=torch.float64))


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"weight: expected 4 dimensions \(OIHW\); given shape \(4, 3\)", {"weight": torch.zeros(4, 3)}),
        (r"weight: expected shape \(4, 3, 1, 1\); given shape \(4, 2, 1, 1\)", {"weight": torch.zeros(4, 2, 1, 1)}),
        (r"styles: expected shape \(2, 3\); given shape \(1, 3\)", {"styles": torch.zeros(1, 3)}),
        (r"styles: expected a tensor on cpu; given a tensor on meta", {"styles": torch.zeros(2, 3, device="meta")}),
        (
            r"noise: expected a shape that broadcasts to \(2, 4, 5, 5\); given shape \(3, 5\)",
            {"noise": torch.zeros(3, 5)},
        ),
        (r"up: expected a factor of at least 1; given 0", {"up": 0}),
        (r"down: expected a factor of at least 1; given 0", {"down": 0}),
        (r"padding: expected a number, .*; given \[1, 2, 3\]", {"padding": [1, 2, 3]}),
    ],
)
def test_wrong_arguments_are_named(message, arguments):
    given = {"x": torch.zeros(2, 3, 5, 5), "weight": torch.zeros(4, 3, 1, 1), "styles": torch.zeros(2, 3)}
    with pytest.raises(ValueError, match=message):
        modulated_conv2d(**{**given, **arguments})
