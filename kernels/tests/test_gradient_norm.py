"""gradient_norm: the shared checks, and its values against torch.linalg."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels.gradient_norm import gradient_norm
from ganframe_kernels.testing import (
    ARCHITECTURES,
    Case,
    assert_compiles_ahead,
    checks,
    default_device,
    implementation,
    slow_checks,
)
from torch import Tensor, nn

CASES = [
    Case("squared", partial(gradient_norm, squared=True), shapes={"x": (3, 2, 3, 1)}, large={"x": (32, 3, 256, 256)}),
    Case("norm", gradient_norm, shapes={"x": (3, 5)}, large={"x": (32, 512)}),
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


def _gradients(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, device=default_device())


# 20,001 numbers are two programs, and the second does not fill its block.
@pytest.mark.parametrize("mode", ["reference", "triton"])
@pytest.mark.parametrize("shape", [(4,), (1, 7), (2, 20_001), (3, 1, 5, 2, 3), (3, 0), (0, 4)])
def test_values(shape, mode):
    x = _gradients(*shape)
    expected = torch.stack([torch.linalg.vector_norm(sample) for sample in x]) if len(x) else x.new_empty(0)
    with implementation(mode):
        torch.testing.assert_close(gradient_norm(x), expected)
        torch.testing.assert_close(gradient_norm(x, squared=True), expected.square())


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_penalty_of_a_network(mode):
    torch.manual_seed(0)
    network = (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(12, 1)).double().to(default_device())
    )
    x = _gradients(3, 2, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    with implementation(mode):
        found = torch.autograd.grad((gradient_norm(slope) - 1).square().mean(), network[0].weight, retain_graph=True)
    penalty = (torch.linalg.vector_norm(slope.reshape(3, -1), dim=1) - 1).square().mean()
    torch.testing.assert_close(found, torch.autograd.grad(penalty, network[0].weight))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_several_tensors_are_normed_together(mode):
    x = _gradients(3, 2, 4, 4), _gradients(3, 5)[:, 1:], _gradients(3)
    flat = torch.cat([gradient.reshape(3, -1) for gradient in x], dim=1)
    with implementation(mode):
        torch.testing.assert_close(gradient_norm(x), torch.linalg.vector_norm(flat, dim=1))
        torch.testing.assert_close(gradient_norm(x, squared=True), flat.square().sum(1))
        torch.testing.assert_close(gradient_norm(list(x[:1])), gradient_norm(x[0]))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_zero_gradients_have_finite_derivatives(mode):
    x = torch.zeros(2, 3, device=default_device()).requires_grad_()
    with implementation(mode):
        (dx,) = torch.autograd.grad(gradient_norm(x).sum(), x, create_graph=True)
        (ddx,) = torch.autograd.grad(dx.sum(), x)
    assert torch.equal(dx, torch.zeros_like(dx))
    assert torch.equal(ddx, torch.zeros_like(ddx))


@pytest.mark.parametrize("mode", ["reference", "triton"])
def test_half_types_do_not_overflow(mode):
    x = torch.full((1, 300), 100.0, dtype=torch.float16, device=default_device())
    with implementation(mode):
        assert gradient_norm(x, squared=True) == 3e6
        assert gradient_norm(x).dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (1.0, TypeError, "x: expected a torch.Tensor; given float"),
        ([1.0], TypeError, r"x\[0\]: expected a torch.Tensor; given float"),
        ([], ValueError, "x: expected a tensor, or at least one of several; given none"),
        (
            [torch.ones(2, 3), torch.ones(4)],
            ValueError,
            r"the batch of x\[1\]: expected shape \(2,\); given shape \(4,\)",
        ),
        (torch.zeros(2, 3, dtype=torch.int64), TypeError, "x: expected one of .*; given torch.int64"),
        (torch.zeros(()), ValueError, r"x: expected at least 1 dimension \(N, ...\); given shape \(\)"),
    ],
)
def test_bad_arguments(x, error, message):
    with pytest.raises(error, match=message):
        gradient_norm(x)
