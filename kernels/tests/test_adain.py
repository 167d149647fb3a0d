"""adain: the shared checks, and its values against PyTorch's instance norm."""

from __future__ import annotations

import pytest
import torch
from ganframe_kernels.adain import AdaIN, adain
from ganframe_kernels.dispatch import has_triton
from ganframe_kernels.testing import (
    ARCHITECTURES,
    TOLERANCE,
    Case,
    assert_close,
    assert_compiles_ahead,
    checks,
    implementation,
    orders,
)
from torch import Tensor
from torch.nn import functional as F


def _squared(**inputs: Tensor) -> Tensor:
    """The dy of adain then depends on the inputs, so that the gradients by dy of the double backward count."""
    return adain(**inputs, act="tanh", eps=1e-2).square()


CASES = [
    # At eps = 1e-8, finite differences of planes as small as these would not be accurate.
    Case(
        "tanh",
        _squared,
        shapes={"x": (2, 2, 3, 1), "scale": (2, 2), "shift": (2, 2)},
        large={"x": (16, 128, 128, 128), "scale": (16, 128), "shift": (16, 128)},
    ),
]


@pytest.mark.parametrize("check", checks(CASES), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES)


def _composed(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The affine map of PyTorch's instance norm is one for all samples: here each sample has channels of its own."""
    planes = x.reshape(1, -1, *x.shape[2:])
    y = F.instance_norm(planes, weight=scale.flatten(), bias=shift.flatten(), eps=1e-8).view_as(x)
    return F.leaky_relu(y, 0.3)


@pytest.mark.parametrize("mode", ["reference", *(["triton"] if has_triton() else [])])
@pytest.mark.parametrize("split", [False, True])
def test_values_are_those_of_pytorch(mode, split, monkeypatch):
    """Values and gradients to order two, in float64."""
    if split:
        kernels = pytest.importorskip("ganframe_kernels.instance_norm.kernels")
        for name in ("FWD_PLANE", "BWD_PLANE", "TILE"):
            monkeypatch.setattr(kernels, name, 8)
    inputs = Case("", adain, {"x": (3, 2, 5, 3), "scale": (3, 2), "shift": (3, 2)}, {}).tensors()
    expected = orders(lambda **inputs: _composed(**inputs).square(), inputs, 2)
    with implementation(mode):
        found = orders(lambda **inputs: adain(**inputs, act="lrelu", alpha=0.3).square(), inputs, 2)
    assert_close(found, expected, TOLERANCE[torch.float64])


def test_the_layer_has_the_options_of_the_function():
    layer = AdaIN(act="lrelu", alpha=0.3)
    x, scale, shift = torch.randn(2, 3, 4, 5), torch.randn(2, 3), torch.randn(2, 3)
    with implementation("reference"):
        assert_close([layer(x, scale, shift)], [_composed(x, scale, shift)], 1e-5)
    assert not layer.state_dict()
    assert repr(layer) == "AdaIN(eps=1e-08, act='lrelu', alpha=0.3)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(3, 4, 5)}, r"x: expected 4 dimensions \(NCHW\); given shape \(3, 4, 5\)"),
        ({"scale": torch.zeros(3)}, r"scale: expected shape \(2, 3\); given shape \(3,\)"),
        ({"scale": None}, "scale: expected a torch.Tensor; given NoneType"),
        ({"shift": torch.zeros(2, 3, device="meta")}, "shift: expected a tensor on cpu; given a tensor on meta"),
    ],
)
def test_errors_name_the_argument(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        adain(**{"x": torch.zeros(2, 3, 4, 5), "scale": torch.ones(2, 3), "shift": torch.zeros(2, 3), **changes})
