"""bias_act: the shared checks, and its values against closed forms."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from ganframe_kernels.bias_act import ACTIVATIONS, bias_act
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

CASES = [
    Case(
        "lrelu",
        partial(bias_act, act="lrelu", clamp=1.3),
        shapes={"x": (2, 3, 5, 2), "b": (3,)},
        large={"x": (32, 128, 256, 256), "b": (128,)},
    ),
    Case(
        "swish",
        partial(bias_act, act="swish", clamp=1.0),
        shapes={"x": (2, 3, 5, 2), "b": (3,)},
        large={"x": (32, 128, 256, 256), "b": (128,)},
    ),
    Case("linear", partial(bias_act, gain=-2), shapes={"x": (3, 7)}, large={"x": (32, 512)}),
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


TRUTH = {
    "linear": (lambda x: x, 1),
    "relu": (lambda x: x.clamp(min=0), 2**0.5),
    "lrelu": (lambda x: torch.maximum(x, 0.2 * x), 2**0.5),
    "tanh": (lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), 1),
    "sigmoid": (lambda x: 1 / (1 + (-x).exp()), 1),
    "elu": (lambda x: torch.where(x > 0, x, x.exp() - 1), 1),
    "selu": (lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)), 1),
    "softplus": (lambda x: (1 + x.exp()).log(), 1),
    "swish": (lambda x: x / (1 + (-x).exp()), 2**0.5),
}


@pytest.mark.parametrize("name", ["reference", "triton"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_is_its_formula_to_the_second_order(act, name):
    function, gain = TRUTH[act]

    def gradients(evaluate):
        x = torch.linspace(-3.1, 3.3, 15, dtype=torch.float64, device=default_device()).reshape(5, 3).requires_grad_()
        b = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64, device=x.device, requires_grad=True)
        y = evaluate(x, b)
        first = torch.autograd.grad((y * y.detach().cos()).sum(), (x, b), create_graph=True)
        total = first[0].square().sum() + first[1].square().sum()
        second = (
            torch.autograd.grad(total, (x, b), allow_unused=True, materialize_grads=True)
            if total.requires_grad
            else (0 * x, 0 * b)
        )
        return y, *first, *second

    with implementation(name):
        actual = gradients(lambda x, b: bias_act(x, b, act=act, clamp=1.7))
    expected = gradients(lambda x, b: (gain * function(x + b)).clamp(-1.7, 1.7))
    for y, truth in zip(actual, expected, strict=True):
        torch.testing.assert_close(y, truth, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", ["reference", "triton"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((3,), 0), ((2, 3, 4), -1), ((3, 1, 1, 1), 1), ((2, 3, 1, 1), 1), ((5, 2, 3, 7, 2), 2)]
)
def test_the_bias_runs_along_its_axis(name, shape, dim):
    x = torch.randn(shape, dtype=torch.float64, device=default_device(), requires_grad=True)
    b = torch.randn(shape[dim], dtype=torch.float64, device=x.device, requires_grad=True)
    with implementation(name):
        y = bias_act(x, b, dim)
        weight = torch.randn_like(y)
        dx, db = torch.autograd.grad((y * weight).sum(), (x, b))
    torch.testing.assert_close(y, (x.movedim(dim, -1) + b).movedim(-1, dim))
    torch.testing.assert_close(dx, weight)
    torch.testing.assert_close(db, weight.movedim(dim, -1).reshape(-1, shape[dim]).sum(0))


@pytest.mark.parametrize("name", ["reference", "triton"])
@pytest.mark.parametrize("act", ["relu", "lrelu", "tanh", "softplus"])
def test_nan_and_infinity_stay_visible(name, act):
    x = torch.tensor([[float("nan"), float("inf"), -1e4, 1e4]], device=default_device())
    with implementation(name):
        y = bias_act(x, act=act, gain=1, clamp=2)[0]
        assert y[0].isnan()
        assert (
            y[1:].tolist() == {"relu": [2, 0, 2], "lrelu": [2, -2, 2], "tanh": [1, -1, 1], "softplus": [2, 0, 2]}[act]
        )


@pytest.mark.parametrize("name", ["reference", "triton"])
def test_the_edge_of_the_clamp_has_no_gradient_and_a_float32_bias_serves_bfloat16(name):
    x = torch.tensor([[-3.0, -2.0, 1.0, 2.0]], dtype=torch.bfloat16, device=default_device(), requires_grad=True)
    b = torch.zeros(4, device=x.device, requires_grad=True)
    with implementation(name):
        y = bias_act(x, b, clamp=2)
        dx, db = torch.autograd.grad(y.sum(), (x, b))
        # In bfloat16 1.69 becomes less: 1.6875.
        (rounded,) = torch.autograd.grad(bias_act(x, b, clamp=1.69).sum(), x)
    assert rounded.tolist() == [[0, 0, 1, 0]]
    assert y.dtype == dx.dtype == torch.bfloat16
    assert db.dtype == torch.float32
    assert dx.tolist() == [[0, 0, 1, 0]]
    assert db.tolist() == [0, 0, 1, 0]
