"""filtered_lrelu: the shared checks, and its values against torch.nn.functional."""

from __future__ import annotations

import pytest
import torch
from ganframe_kernels.filtered_lrelu import filtered_lrelu
from ganframe_kernels.testing import (
    ARCHITECTURES,
    Case,
    assert_close,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)
from ganframe_kernels.upfirdn2d import setup_filter
from torch import Tensor
from torch.nn import functional as F


def resampled(x: Tensor, b: Tensor) -> Tensor:
    fu, fd = torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 1.0]]), torch.tensor([[1.0, 0.5, -0.25], [0.5, 0.25, 1.0]])
    return filtered_lrelu(x, fu.to(x.device), fd.to(x.device), b, up=2, down=2, padding=[1, 0, 0, 1], clamp=4.1)


def fused(x: Tensor, b: Tensor) -> Tensor:
    fu, fd = torch.arange(1.0, 13.0) / 20, torch.tensor([1.0, 0.5, -0.25, 2.0, 0.1])
    return filtered_lrelu(x, fu.to(x.device), fd.to(x.device), b, up=2, down=3, padding=[9, 8, 7, 10], clamp=4.1)


CASES = [
    Case("fused", fused, {"x": (2, 2, 3, 4), "b": (2,)}, large={"x": (16, 256, 128, 128), "b": (256,)}),
    Case("resampled", resampled, {"x": (2, 2, 2, 3), "b": (2,)}, large={"x": (16, 64, 64, 64), "b": (64,)}),
]


@pytest.mark.parametrize("check", checks(CASES[:1]), ids=lambda check: check.__name__)
def test_check(check):
    check()


# The second is made of operations that have checks of their own.
@pytest.mark.slow
@pytest.mark.parametrize("check", [*checks(CASES[1:]), *slow_checks(CASES)], ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES, (torch.bfloat16, torch.float16))


# Tiles of 16 x 16: several of them, whose edges fall inside of the image and out of it.
@pytest.mark.parametrize("flip_filter", [True, False])
@pytest.mark.parametrize(
    ("size", "up", "down", "padding"),
    [
        ((37, 20), 1, 1, (0, 0, 0, 0)),
        ((19, 21), 2, 1, (3, 4, -2, 5)),
        ((24, 23), 3, 2, (-3, 1, 6, -4)),
        ((40, 9), 1, 4, 6),
    ],
)
def test_tiles_join(size, up, down, padding, flip_filter):
    torch.manual_seed(0)
    x = torch.randn(1, 2, *size, dtype=torch.float64, device=default_device()).requires_grad_()
    b, fu, fd = torch.randn(2, device=x.device), torch.randn(5, device=x.device), torch.randn(4, device=x.device)
    found = {}
    for name in ("reference", "triton"):
        with implementation(name):
            y = filtered_lrelu(x, fu, fd, b, up, down, padding, slope=0.3, clamp=2, flip_filter=flip_filter)
            torch.manual_seed(1)
            (dx,) = torch.autograd.grad(y, x, torch.randn_like(y))
        found[name] = [y, dx]
    assert_close(found["triton"], found["reference"], 1e-12)


def test_separable_filters_take_one_pass_and_others_three(monkeypatch):
    launched = list[str]()
    for module in ("filtered_lrelu", "bias_act", "upfirdn2d"):
        name = f"ganframe_kernels.{module}.kernels.launch"
        monkeypatch.setattr(name, lambda kernel, *_, **__: launched.append(kernel.fn.__module__.split(".")[1]))
    x = torch.zeros(1, 2, 8, 8, dtype=torch.bfloat16, device=default_device())
    f = torch.ones(3, device=x.device)
    with implementation("triton"):
        filtered_lrelu(x, f, None, torch.zeros(2, device=x.device), up=2, down=2, padding=1)
        assert launched == ["filtered_lrelu"]
        filtered_lrelu(x, f[None] * f[:, None], f, torch.zeros(2, device=x.device), up=2, down=2, padding=2)
    assert launched == ["filtered_lrelu", "bias_act", "upfirdn2d", "upfirdn2d", "upfirdn2d"]


@pytest.mark.parametrize("flip_filter", [True, False])
@pytest.mark.parametrize("implementation_name", ["reference", "triton"])
@pytest.mark.parametrize("impl", ["cuda", "ref"])
def test_is_the_sequence_of_its_steps(flip_filter, implementation_name, impl):
    torch.manual_seed(0)
    x, b = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    fu, fd = torch.randn(3, 4), torch.randn(2, 3)
    with implementation(implementation_name):
        found = filtered_lrelu(
            x,
            fu,
            fd,
            b,
            up=2,
            down=3,
            padding=[1, 2, 3, 4],
            gain=1.5,
            slope=0.3,
            clamp=1,
            flip_filter=flip_filter,
            impl=impl,
        )
    up = torch.zeros(2, 3, 8, 10, dtype=torch.float64)
    up[:, :, ::2, ::2] = x + b.view(3, 1, 1)
    padded = F.pad(up, [1, 2, 3, 4])
    # conv2d correlates.
    fu, fd = (f.double() if flip_filter else f.double().flip([0, 1]) for f in (fu, fd))
    z = 4 * F.conv2d(padded, fu.expand(3, 1, 3, 4), groups=3)
    y = (F.leaky_relu(z, 0.3) * 1.5).clamp(-1, 1)
    assert_close([found], [F.conv2d(y, fd.expand(3, 1, 2, 3), stride=3, groups=3)], 1e-10)


def test_keeps_a_constant_inside():
    # Both filters sum to 1: far from the edge, where zeros come in, a positive constant is only scaled by the gain.
    f = setup_filter([1.0, 3.0, 3.0, 1.0])
    y = filtered_lrelu(torch.full((1, 1, 10, 10), 2.0), f, f, up=2, down=2, padding=[3, 2, 3, 2], gain=3)
    assert torch.allclose(y[..., 3:-3, 3:-3], torch.tensor(6.0))


def test_defaults_are_a_leaky_relu():
    x = torch.tensor([3.0, -5.0]).view(1, 1, 1, 2)
    assert torch.allclose(filtered_lrelu(x).flatten(), torch.tensor([3.0, -1.0]) * 2**0.5)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"x: expected 4 dimensions \(NCHW\); given shape \(3,\)", {"x": torch.zeros(3)}),
        (r"b: expected shape \(3,\); given shape \(2,\)", {"b": torch.zeros(2)}),
        (r"up: expected a factor of at least 1; given 0", {"up": 0}),
        (r"down: expected a factor of at least 1; given 0", {"down": 0}),
        (r"slope: expected a slope of at least 0; given -1", {"slope": -1}),
        (r"clamp: expected None or at least 0; given -1", {"clamp": -1}),
        (r"padding: expected a number, .*; given \[1, 2, 3\]", {"padding": [1, 2, 3]}),
        (r"impl: expected one of cuda, ref; given 'gpu'", {"impl": "gpu"}),
    ],
)
def test_wrong_arguments_are_named(message, arguments):
    with pytest.raises(ValueError, match=message):
        filtered_lrelu(**{"x": torch.zeros(2, 3, 4, 4), **arguments})
