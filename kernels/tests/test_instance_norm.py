"""instance_norm_act: the shared checks, on whole and on split planes, and its values against PyTorch's functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from ganframe_kernels.dispatch import has_triton
from ganframe_kernels.instance_norm import InstanceNormAct2d, instance_norm_act
from ganframe_kernels.testing import (
    ARCHITECTURES,
    TOLERANCE,
    Case,
    assert_close,
    assert_compiles_ahead,
    channels_last,
    checks,
    default_device,
    implementation,
    orders,
)
from torch import Tensor, nn
from torch.nn import functional as F


def _squared(function: Callable[..., Tensor], **options: object) -> Callable[..., Tensor]:
    """The function squared: dy then depends on the inputs, so that the gradients by dy of the double backward count."""

    def squared(**inputs: Tensor) -> Tensor:
        return function(**inputs, **options).square()

    return squared


def _lrelu(x: Tensor, factor: Tensor) -> Tensor:
    """As `_squared`, with less cancellation, for the half types."""
    return instance_norm_act(x, act="lrelu") * factor


CHECKED = [
    Case(
        "lrelu",
        _lrelu,
        shapes={"x": (1, 2, 3, 2), "factor": (1, 2, 3, 2)},
        large={"x": (1, 64, 256, 256), "factor": (1, 64, 256, 256)},
    ),
    Case(
        "swish and all else",
        partial(instance_norm_act, act="swish", padding=1),
        shapes={"x": (1, 2, 2, 3), "weight": (2,), "bias": (2,), "residual": (1, 2, 2, 3)},
        large={"x": (1, 256, 64, 64), "weight": (256,), "bias": (256,), "residual": (1, 256, 64, 64)},
    ),
]
CASES = [
    *CHECKED,
    # For their large shapes alone: the largest planes of one program, forward, backward and folded; small planes with
    # the channels innermost; planes that both ends of an axis reflect; planes of one pixel.
    Case("forward", partial(instance_norm_act, act="relu", padding=3), {}, {"x": (1, 8, 181, 181)}),
    Case("backward", partial(instance_norm_act, act="swish"), {}, {"x": (1, 8, 128, 128)}),
    Case("folded", partial(instance_norm_act, act="swish", padding=1), {}, {"x": (1, 8, 128, 128)}),
    Case("channels_last", partial(instance_norm_act, act="lrelu"), {}, {"x": (8, 64, 32, 32)}),
    Case("tiny", partial(instance_norm_act, act="swish", padding=3), {}, {"x": (8, 64, 4, 4)}),
    Case("pixel", partial(instance_norm_act, act="lrelu"), {}, {"x": (8, 64, 1, 1)}),
]
ALL = {"x": (2, 3, 5, 7), "weight": (3,), "bias": (3,), "residual": (2, 3, 5, 7)}
MODES = ["reference", *(["triton"] if has_triton() else [])]


@pytest.fixture
def many_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, planes of more than 16 numbers are split, into at most 3 parts of several tiles."""
    kernels = pytest.importorskip("ganframe_kernels.instance_norm.kernels")
    for name, value in {"FWD_PLANE": 32, "BWD_PLANE": 32, "TILE": 8, "FOLD_TILE": 8, "MAX_SPLITS": 3}.items():
        monkeypatch.setattr(kernels, name, value)


@pytest.fixture
def many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes are whole, but a backward program goes over them in tiles of 8 numbers."""
    kernels = pytest.importorskip("ganframe_kernels.instance_norm.kernels")
    for name in ("TILE", "FOLD_TILE"):
        monkeypatch.setattr(kernels, name, 8)


@pytest.mark.parametrize("check", checks(CHECKED), ids=lambda check: check.__name__)
def test_check(check):
    check()


@pytest.mark.slow
def test_compiles_ahead():
    assert_compiles_ahead(__file__)


@pytest.mark.slow
def test_compiles_ahead_for_every_architecture():
    assert_compiles_ahead(__file__, ARCHITECTURES)


def _inputs(shapes: dict[str, tuple[int, ...]], *, innermost: bool = False) -> dict[str, Tensor]:
    case = Case("", instance_norm_act, shapes, {})
    inputs = case.tensors()
    if innermost:
        inputs["x"] = channels_last(inputs["x"].detach()).requires_grad_()
    return inputs


def _composed(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    act: str = "linear",
    alpha: float = 0.2,
    eps: float = 1e-5,
    padding: int = 0,
) -> Tensor:
    # Without a weight but with a bias, PyTorch has no double backward.
    weight = x.new_ones(x.shape[1]) if weight is None else weight
    y = F.instance_norm(x, weight=weight, bias=bias, eps=eps)
    y = {"linear": lambda y: y, "relu": F.relu, "lrelu": partial(F.leaky_relu, negative_slope=alpha), "tanh": F.tanh}[
        act
    ](y)
    y = y if residual is None else y + residual
    return F.pad(y, (padding,) * 4, mode="reflect")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["x"], {"act": "lrelu", "alpha": 0.3}),  # PatchGAN
        (["x"], {"act": "relu", "padding": 1}),  # CycleGAN, inside a residual block
        (["x", "residual"], {"padding": 3}),  # at its end
        (["x", "weight"], {"act": "tanh", "eps": 0.1}),
        (["x", "bias", "residual"], {"act": "tanh"}),
    ],
)
def test_values_are_those_of_pytorch_composed(names, options, mode):
    """Values and gradients to order two, against float64 compositions of torch.nn.functional."""
    inputs = _inputs({name: ALL[name] for name in names})
    expected = orders(_squared(_composed, **options), inputs, 2)
    with implementation(mode):
        assert_close(orders(_squared(instance_norm_act, **options), inputs, 2), expected, TOLERANCE[torch.float64])


def _agrees(inputs: dict[str, Tensor], **options: object) -> None:
    """Triton's gradients to order two are the reference's."""
    function = _squared(instance_norm_act, **options)
    with implementation("reference"):
        expected = orders(function, inputs, 2)
    with implementation("triton"):
        assert_close(orders(function, inputs, 2), expected, TOLERANCE[torch.float64])


# Padding 1 leaves each pixel at most one reflection on an axis of 5; with 3, both ends reflect the middle.
@pytest.mark.parametrize(
    ("tiles", "act", "padding", "innermost"),
    [
        ("", "swish", 1, True),
        ("many_splits", "swish", 0, True),
        pytest.param("many_splits", "swish", 1, False, marks=pytest.mark.slow),
        ("many_splits", "lrelu", 3, True),
        pytest.param("many_tiles", "swish", 1, True, marks=pytest.mark.slow),
        ("many_tiles", "lrelu", 3, False),
    ],
)
def test_planes_may_be_cut(tiles, act, padding, innermost, request):
    pytest.importorskip("triton")
    if tiles:
        request.getfixturevalue(tiles)
    shapes = {"x": (1, 2, 5, 5), "weight": (2,), "bias": (2,), "residual": (1, 2, 5, 5)}
    _agrees(_inputs(shapes, innermost=innermost), act=act, padding=padding)


@pytest.mark.slow
def test_a_plane_larger_than_a_block():
    """For the limits that ship: 182 x 181 pixels are more than FWD_PLANE, and so split."""
    pytest.importorskip("triton")
    _agrees(_inputs({"x": (1, 2, 182, 181), "bias": (2,)}), act="lrelu", padding=2)


@pytest.mark.parametrize("innermost", [False, True])
@pytest.mark.parametrize("tiles", ["", "many_splits"])
def test_a_large_mean_costs_few_digits(tiles, innermost, request):
    """In float32 the mean is known to 2.4e-4; the mean of squares less the square of the mean would be off by 1."""
    pytest.importorskip("triton")
    if tiles:
        request.getfixturevalue(tiles)
    x = (_inputs({"x": (1, 3, 11, 7)}, innermost=innermost)["x"].detach() + 4000).float()
    with implementation("triton"):
        y = instance_norm_act(x)
    assert_close([y], [_composed(x.double())], 1e-3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_plane_of_one_pixel_is_the_bias(mode, dtype):
    device = default_device()
    x = torch.randn(2, 3, 1, 1, device=device).to(dtype).requires_grad_()
    bias = torch.tensor([-1.0, 0.5, 2.0], device=device).to(dtype)
    with implementation(mode):
        y = instance_norm_act(x, bias=bias, act="lrelu", alpha=0.5)
    (dx,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert y.flatten(1).tolist() == [[-0.5, 0.5, 2.0]] * 2
    assert dx.flatten().tolist() == [0.0] * 6
    assert torch.autograd.grad(dx.square().sum(), x)[0].flatten().tolist() == [0.0] * 6


@pytest.mark.parametrize("mode", MODES)
def test_residual_may_be_the_inside_of_a_padded_result(mode):
    """Two of CycleGAN's residual blocks: the second adds the first one's result without its border."""
    h = _inputs({"x": (1, 2, 6, 5)})
    convolution = nn.Conv2d(2, 2, 3, bias=False, device=default_device()).double()

    def blocks(x: Tensor, norm: Callable[..., Tensor]) -> Tensor:
        padded = F.pad(x, (1,) * 4, mode="reflect")
        for _ in range(2):
            inside = norm(convolution(padded), act="relu", padding=1)
            padded = norm(convolution(inside), residual=padded[..., 1:-1, 1:-1], padding=1)
        return padded

    expected = orders(partial(blocks, norm=_composed), h, 2)
    with implementation(mode):
        assert_close(orders(partial(blocks, norm=instance_norm_act), h, 2), expected, TOLERANCE[torch.float64])


@pytest.mark.parametrize("mode", MODES)
def test_each_tensor_has_a_dtype_of_its_own(mode):
    device = default_device()
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, device=device).bfloat16().requires_grad_()
    weight = torch.randn(3, device=device, requires_grad=True)
    bias = torch.randn(3, device=device).half().requires_grad_()
    residual = torch.randn(2, 3, 4, 5, device=device, requires_grad=True)
    inputs = (x, weight, bias, residual)
    with implementation(mode):
        y = instance_norm_act(*inputs, act="relu", padding=1)
        grads = torch.autograd.grad(y.float().square().sum(), inputs)
    assert y.dtype == torch.bfloat16
    assert [g.dtype for g in grads] == [torch.bfloat16, torch.float32, torch.float16, torch.float32]
    exact = [a.detach().bfloat16().double().requires_grad_() if a is residual else a.detach().double() for a in inputs]
    assert_close([y], [_composed(*exact, act="relu", padding=1)], TOLERANCE[torch.bfloat16])


@pytest.mark.parametrize("affine", [False, True])
def test_the_layer_takes_the_place_of_pytorchs(affine):
    theirs, ours = nn.InstanceNorm2d(3, eps=1e-3, affine=affine), InstanceNormAct2d(3, eps=1e-3, affine=affine)
    if affine:
        nn.init.normal_(theirs.weight)
        nn.init.normal_(theirs.bias)
    assert ours.load_state_dict(theirs.state_dict()) == theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(2, 3, 4, 5)
    with implementation("reference"):
        assert_close([ours(x), ours.eval()(x)], [theirs(x), theirs.eval()(x)], 1e-5)


def test_the_layer_has_the_options_of_the_function():
    layer = InstanceNormAct2d(2, affine=True, act="lrelu", alpha=0.5, padding=1)
    x, residual = torch.randn(2, 1, 2, 3, 4).unbind()
    expected = _composed(x, layer.weight, layer.bias, residual, act="lrelu", alpha=0.5, padding=1)
    with implementation("reference"):
        assert_close([layer(x, residual)], [expected], 1e-5)
    assert repr(layer) == "InstanceNormAct2d(2, eps=1e-05, affine=True, act='lrelu', alpha=0.5, padding=1)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(2, 3, 4, 5).int()}, "x: expected one of torch.float64, .* given torch.int32"),
        ({"x": torch.zeros(3, 4, 5)}, r"x: expected 4 dimensions \(NCHW\); given shape \(3, 4, 5\)"),
        ({"x": torch.zeros(2, 3, 4, 0)}, r"x: expected planes of at least one pixel; given shape \(2, 3, 4, 0\)"),
        ({"weight": torch.zeros(4)}, r"weight: expected shape \(3,\); given shape \(4,\)"),
        ({"bias": torch.zeros(2, 3)}, r"bias: expected shape \(3,\); given shape \(2, 3\)"),
        ({"bias": torch.zeros(3, device="meta")}, "bias: expected a tensor on cpu; given a tensor on meta"),
        ({"residual": torch.zeros(2, 3, 4, 4)}, r"residual: expected shape \(2, 3, 4, 5\); given shape \(2, 3, 4, 4\)"),
        ({"act": "gelu"}, "act: expected one of linear, relu, .*; given 'gelu'"),
        ({"alpha": -1}, "alpha: expected a slope of at least 0; given -1"),
        ({"eps": 0}, "eps: expected a number above 0; given 0"),
        ({"padding": 4}, r"padding: expected 0 to 3, for planes of \(4, 5\); given 4"),
        ({"padding": -1}, r"padding: expected 0 to 3, for planes of \(4, 5\); given -1"),
    ],
)
def test_errors_name_the_argument(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        instance_norm_act(**{"x": torch.zeros(2, 3, 4, 5), **changes})


def test_the_layer_checks_its_channels():
    with pytest.raises(ValueError, match=r"input: expected 4 channels; given shape \(2, 3, 5, 5\)"):
        InstanceNormAct2d(4)(torch.zeros(2, 3, 5, 5))
