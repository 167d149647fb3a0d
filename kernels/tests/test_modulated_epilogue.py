"""modulated_epilogue: the shared checks, and its values against closed forms."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from ganframe_kernels.modulated_epilogue import kernels as launchers
from ganframe_kernels.modulated_epilogue import modulated_epilogue
from ganframe_kernels.testing import (
    ARCHITECTURES,
    TOLERANCE,
    Case,
    assert_close,
    assert_compiles_ahead,
    channels_last,
    checks,
    implementation,
    orders,
    slow_checks,
)
from torch import Tensor


def with_noise(x: Tensor, samples: int | None = None, **vectors: Tensor) -> Tensor:
    """With fixed noise, whose values bfloat16 has too; None for the samples of x."""
    N, _, H, W = x.shape
    samples = N if samples is None else samples
    noise = (torch.arange(samples * H * W, dtype=x.dtype, device=x.device) % 7 - 3) / 4
    return modulated_epilogue(x, noise=noise.view(samples, 1, H, W), clamp=2.3, **vectors)


def shared_noise(**tensors: Tensor) -> Tensor:
    return with_noise(samples=1, **tensors)


def factor(x: Tensor, demod: Tensor) -> Tensor:
    return modulated_epilogue(x, demod, alpha=1, gain=1)


CASES = [
    Case(
        "all",
        with_noise,
        shapes={"x": (2, 3, 3, 1), "demod": (2, 3), "strength": (), "bias": (3,), "next_style": (2, 3)},
        large={"x": (32, 128, 64, 64), "demod": (32, 128), "strength": (), "bias": (128,), "next_style": (32, 128)},
    ),
    Case(
        "no style",
        shared_noise,
        shapes={"x": (2, 2, 1, 2), "demod": (2, 2), "strength": (), "bias": (2,)},
        large={"x": (32, 512, 4, 4), "demod": (32, 512), "strength": (), "bias": (512,)},
    ),
    Case(
        "factor",
        factor,
        shapes={"x": (1, 3, 2, 1), "demod": (1, 3)},
        large={"x": (1, 512, 2049, 2048), "demod": (1, 512)},
    ),
]


@pytest.mark.parametrize("check", checks(CASES), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize("check", slow_checks(CASES), ids=lambda check: check.__name__)
def test_slow_check(check):
    check()


def test_gradient_that_depends_on_the_inputs():
    # After a square, the incoming gradient moves with the inputs too, as it does in a path length penalty.
    inputs = CASES[0].tensors()
    with implementation("reference"):
        expected = orders(lambda **tensors: with_noise(**tensors).square(), inputs, 3)
    with implementation("triton"):
        assert_close(orders(lambda **tensors: with_noise(**tensors).square(), inputs, 3), expected, 1e-10)


def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture_and_dtype():
    assert_compiles_ahead(__file__, ARCHITECTURES, tuple(TOLERANCE))


@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [((1, 3, 1, 1030), torch.contiguous_format), ((2, 65, 2, 130), torch.channels_last)],
)
def test_many_tiles(shape, memory_format):
    vectors = {"demod": shape[:2], "strength": (), "bias": shape[1:2], "next_style": shape[:2]}
    inputs = Case("", shared_noise, {"x": shape, **vectors}, {}).tensors()
    inputs["x"] = inputs["x"].detach().contiguous(memory_format=memory_format).requires_grad_()
    with implementation("reference"):
        expected = orders(shared_noise, inputs, 2)
    with implementation("triton"):
        assert_close(orders(shared_noise, inputs, 2), expected, 1e-10)


def test_offsets_of_64_bits(monkeypatch):
    tiles = launchers.tiles
    used = list[bool]()

    def wide(*arguments):
        found = tiles(*arguments)
        used.append(found.constants["WIDE"])
        return found._replace(constants={**found.constants, "WIDE": True})

    monkeypatch.setattr(launchers, "tiles", wide)
    for change in (Tensor.contiguous, channels_last):
        inputs = CASES[0].tensors()
        inputs["x"] = change(inputs["x"].detach()).requires_grad_()
        with implementation("reference"):
            expected = orders(with_noise, inputs, 2)
        with implementation("triton"):
            assert_close(orders(with_noise, inputs, 2), expected, 1e-10)
    assert used
    assert not any(used)


def test_values():
    # z = 3 * 2 + 0.5 * 4 - 1 = 7 and -3 * 2 + 0.5 * 4 - 1 = -5; then lrelu, gain 2, clamp 12, style -1.5.
    x = torch.tensor([3.0, -3.0]).view(1, 1, 1, 2)
    y = modulated_epilogue(
        x,
        torch.tensor([[2.0]]),
        torch.full((1, 1, 1, 2), 4.0),
        torch.tensor(0.5),
        torch.tensor([-1.0]),
        torch.tensor([[-1.5]]),
        alpha=0.1,
        gain=2,
        clamp=12,
    )
    assert torch.allclose(y, torch.tensor([12 * -1.5, -5 * 0.1 * 2 * -1.5]).view(1, 1, 1, 2))


def test_defaults_keep_the_variance():
    torch.manual_seed(0)
    y = modulated_epilogue(torch.randn(1, 4, 64, 64))
    assert y.square().mean().item() == pytest.approx((1 + 0.2**2) / 2 * sqrt(2) ** 2, rel=0.05)


def test_style_of_zero_has_its_gradient():
    x = torch.tensor([2.0]).view(1, 1, 1, 1)
    style = torch.zeros(1, 1, requires_grad=True)
    modulated_epilogue(x, next_style=style, gain=3).sum().backward()
    assert style.grad is not None
    assert style.grad.item() == pytest.approx(6)


def test_no_gradient_where_the_clamp_acts():
    x = torch.tensor([0.5, 1.0, 2.0, -20.0]).view(1, 1, 1, 4).requires_grad_()
    for name in ("reference", "triton"):
        with implementation(name):
            (dx,) = torch.autograd.grad(modulated_epilogue(x, gain=1, clamp=1).sum(), [x])
        assert dx.flatten().tolist() == [1, 0, 0, 0]


def test_nan_stays():
    for name in ("reference", "triton"):
        with implementation(name):
            assert modulated_epilogue(torch.full((1, 1, 1, 1), torch.nan), clamp=1).isnan().all()


def test_noise_that_requires_a_gradient_gets_it():
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    noise = torch.randn(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    strength = torch.tensor(0.7, dtype=torch.float64)
    (found,) = torch.autograd.grad(modulated_epilogue(x, None, noise, strength, alpha=1, gain=1).sum(), [noise])
    assert torch.allclose(found, torch.full_like(noise, 3 * 0.7))


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"x: expected 4 dimensions \(NCHW\); given shape \(2, 3\)", {"x": torch.zeros(2, 3)}),
        (r"demod: expected shape \(2, 3\); given shape \(3,\)", {"demod": torch.zeros(3)}),
        (r"noise: expected shape \(1, 1, 4, 5\); given shape \(4, 5\)", {"noise": torch.zeros(4, 5)}),
        (r"noise: expected shape \(2, 1, 4, 5\); given shape \(2, 3, 4, 5\)", {"noise": torch.zeros(2, 3, 4, 5)}),
        (r"strength: expected None without noise; given", {"strength": torch.zeros(())}),
        (r"bias: expected a tensor on cpu; given a tensor on meta", {"bias": torch.zeros(3, device="meta")}),
        (r"next_style: expected shape \(2, 3\); given shape \(1, 3\)", {"next_style": torch.zeros(1, 3)}),
        (r"alpha: expected a slope of at least 0; given -1", {"alpha": -1}),
        (r"clamp: expected None or at least 0; given -1", {"clamp": -1}),
    ],
)
def test_wrong_arguments_are_named(message, arguments):
    with pytest.raises(ValueError, match=message):
        modulated_epilogue(**{"x": torch.zeros(2, 3, 4, 5), **arguments})


def test_wrong_dtype_is_named():
    with pytest.raises(TypeError, match=r"x: expected one of .*; given torch.int64"):
        modulated_epilogue(torch.zeros(1, 1, 1, 1, dtype=torch.int64))
