"""pairwise_diversity: the shared checks, and its values against all pairs."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels.pairwise_diversity import pairwise_diversity
from ganframe_kernels.testing import (
    ARCHITECTURES,
    Case,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)

CASES = [
    Case("sum", pairwise_diversity, shapes={"x": (3, 2, 3, 1)}, large={"x": (64, 3, 128, 128)}),
    Case("mean", partial(pairwise_diversity, reduction="mean"), shapes={"x": (5, 2)}, large={"x": (500, 49152)}),
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


def _batch(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, device=default_device()).to(dtype)


# 150 samples are three chunks of rows, 700 columns several programs.
@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("shape", [(2, 3), (7, 1, 5, 3), (150, 700), (64, 2), (65, 3), (4,)])
def test_all_pairs(shape, mode):
    x = _batch(*shape)
    pairs = torch.pdist(x.reshape(len(x), -1)).square()
    with implementation(mode):
        torch.testing.assert_close(pairwise_diversity(x), pairs.sum())
        torch.testing.assert_close(pairwise_diversity(x, "mean"), pairs.mean())


@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("n", [5, 130])
def test_gradients_by_closed_form(n, mode):
    x, v = _batch(n, 3).requires_grad_(), torch.ones(n, 3, dtype=torch.float64, device=default_device()).cumsum(0)
    with implementation(mode):
        (dx,) = torch.autograd.grad(pairwise_diversity(x), x, create_graph=True)
        (ddx,) = torch.autograd.grad(dx, x, v)
    # The gradient by x_i is 2 sum_j (x_i - x_j).
    torch.testing.assert_close(dx, 2 * (x[:, None] - x).sum(1))
    torch.testing.assert_close(ddx, 2 * (v[:, None] - v).sum(1))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_close_samples_far_from_zero(mode):
    x = _batch(100, 50) * 1e-2 + 1e3
    x = x.float().requires_grad_()
    exact = torch.pdist(x.double()).square().sum()
    naive = len(x) * x.square().sum() - x.sum(0).square().sum()
    with implementation(mode):
        y = pairwise_diversity(x)
        (dx,) = torch.autograd.grad(y, x)
    assert (y.double() - exact).abs() / exact < 1e-6
    torch.testing.assert_close(dx.double(), 200 * (x.double() - x.double().mean(0)), rtol=1e-5, atol=1e-6)
    assert (naive.double() - exact).abs() / exact > 1  # What centring is for.


@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("n", [0, 1])
def test_without_pairs(n, mode):
    x = _batch(n, 3, dtype=torch.float16).requires_grad_()
    with implementation(mode):
        for reduction in ("sum", "mean"):
            y = pairwise_diversity(x, reduction)
            assert y == 0
            assert y.dtype == torch.float32
            (dx,) = torch.autograd.grad(y, x)
            assert torch.equal(dx, torch.zeros_like(x))


def test_half_types_do_not_overflow():
    x = _batch(64, 300, dtype=torch.float16) * 10
    for mode in ("reference", "triton"):
        with implementation(mode):
            expected = torch.pdist(x.double()).square().sum().float()
            torch.testing.assert_close(pairwise_diversity(x), expected)
    assert expected > torch.finfo(torch.float16).max


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3.0,), TypeError, "x: expected a torch.Tensor; given float"),
        ((torch.zeros(3, 2, dtype=torch.int32),), TypeError, "x: expected one of .*; given torch.int32"),
        ((torch.zeros(()),), ValueError, r"x: expected at least 1 dimension \(N, ...\); given shape \(\)"),
        ((torch.zeros(3, 2), "none"), ValueError, "reduction: expected one of sum, mean; given 'none'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        pairwise_diversity(*arguments)
