"""minibatch_stddev: the shared checks, and its values against a loop over groups."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels.minibatch_stddev import group_stddev, minibatch_stddev
from ganframe_kernels.testing import (
    ARCHITECTURES,
    Case,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)
from torch import Tensor

CASES = [
    Case("groups", partial(minibatch_stddev, group_size=2), shapes={"x": (4, 2, 1, 2)}, large={"x": (32, 512, 4, 4)}),
    Case(
        "whole batch",
        partial(minibatch_stddev, group_size=None, num_channels=2),
        shapes={"x": (3, 2, 1, 2)},
        large={"x": (64, 512, 8, 8)},
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
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES)


def _features(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, device=default_device())


def _looped(x: Tensor, group: int, shares: int) -> Tensor:
    groups = len(x) // group
    rows = []
    for n in range(len(x)):
        fellows = x[n % groups :: groups]
        deviations = (torch.var(fellows, dim=0, correction=0) + 1e-8).sqrt()
        rows.append([share.mean() for share in deviations.chunk(shares)])
    return torch.tensor(rows, dtype=x.dtype, device=x.device)


# 3 x 31 x 29 numbers are several blocks, and an odd number of them.
@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize(
    ("shape", "group_size", "shares"),
    [((8, 6, 3, 5), 4, 2), ((6, 3, 31, 29), 3, 1), ((2, 4, 1, 1), 4, 4), ((3, 2, 2, 2), 1, 1), ((5, 2, 7, 1), None, 2)],
)
def test_values(shape, group_size, shares, mode):
    x = _features(*shape)
    group = min(group_size or len(x), len(x))
    for layout in (torch.contiguous_format, torch.channels_last):
        with implementation(mode):
            y = minibatch_stddev(x.contiguous(memory_format=layout), group_size, shares)
        assert torch.equal(y[:, : shape[1]], x)
        expected = _looped(x, group, shares)[:, :, None, None].expand(-1, -1, *shape[2:])
        torch.testing.assert_close(y[:, shape[1] :], expected)
        with implementation(mode):
            alone = group_stddev(x.contiguous(memory_format=layout), group_size, shares)
        torch.testing.assert_close(alone, expected[..., 0, 0])


def test_the_numbers_alone_have_gradients_of_two_orders_and_no_copy_of_x():
    x = _features(4, 2, 1, 3).requires_grad_()
    with implementation("triton"):
        assert torch.autograd.gradgradcheck(lambda x: group_stddev(x, 2), x, fast_mode=True)
    with implementation("reference"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "cat", None)
        assert group_stddev(x.float(), 2).dtype == torch.float32
    with pytest.raises(ValueError, match="num_channels: expected a divisor of the 2 channels of x; given 3"):
        group_stddev(x, 2, 3)


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_gradient_over_several_blocks(mode):
    x = _features(4, 3, 31, 29).requires_grad_()
    with implementation(mode):
        y = minibatch_stddev(x, 2)
        (dx,) = torch.autograd.grad(y[:, 3].sum(), x)
    # Of two samples the deviation is half their distance, and each pixel of both of them shows its mean.
    half = (x[:2] - x[2:]) / 2
    expected = half / (half.square() + 1e-8).sqrt() / 3
    torch.testing.assert_close(dx, torch.cat([expected, -expected]))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_equal_samples_have_finite_gradients(mode):
    x = torch.ones(4, 2, 2, 2, dtype=torch.float32, device=default_device()).requires_grad_()
    with implementation(mode):
        y = minibatch_stddev(x)
        (dx,) = torch.autograd.grad(y[:, 2:].square().sum(), x, create_graph=True)
        (ddx,) = torch.autograd.grad(dx.square().sum() + dx.sum(), x)
    torch.testing.assert_close(y[:, 2], torch.full_like(y[:, 2], 1e-4))
    assert torch.equal(dx, torch.zeros_like(dx))
    assert ddx.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0],), TypeError, "x: expected a torch.Tensor; given list"),
        ((torch.zeros(4, 2),), ValueError, r"x: expected 4 dimensions \(NCHW\); given shape \(4, 2\)"),
        (
            (torch.zeros(4, 0, 2, 2),),
            ValueError,
            r"x: expected at least one channel and pixel; given shape \(4, 0, 2, 2\)",
        ),
        ((torch.zeros(6, 2, 1, 1), 4), ValueError, "group_size: expected a divisor of the batch of 6.*; given 4"),
        ((torch.zeros(6, 2, 1, 1), 0), ValueError, "group_size: expected None or at least 1; given 0"),
        (
            (torch.zeros(4, 6, 1, 1), 4, 4),
            ValueError,
            "num_channels: expected a divisor of the 6 channels of x; given 4",
        ),
        (
            (torch.zeros(4, 6, 1, 1), 4, 0),
            ValueError,
            "num_channels: expected a divisor of the 6 channels of x; given 0",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        minibatch_stddev(*arguments)
