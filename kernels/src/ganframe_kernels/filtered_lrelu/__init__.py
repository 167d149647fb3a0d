"""Leaky relu at a higher resolution, between low-pass filters, so that it adds few frequencies that alias."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_rank, check_shape, value_error
from ganframe_kernels.dispatch import interpreted, use_triton
from ganframe_kernels.filtered_lrelu.shapes import Options, high_shape, result_shape
from ganframe_kernels.layout import is_channels_last
from ganframe_kernels.upfirdn2d import sides, upfirdn2d, upfirdn2d_bias_act

__all__ = ["filtered_lrelu"]


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    impl: Literal["cuda", "ref"] = "cuda",
) -> Tensor:
    """Add a bias, upsample, compute `clamp(gain * lrelu(x))`, and downsample.

    Karras et al. 2021, arXiv:2106.12423, section 3.2, with the arguments of the function of this name in StyleGAN3's
    code. One pass where the filters are separable, or None, and x is contiguous and of a half type. Otherwise three:
    the bias, the upsampling with the activation, the downsampling.

    Args:
        x: Shape (N, C, H, W). The result has its dtype, and is channels_last where x is.
        fu: The upsampling filter, from `upfirdn2d.setup_filter`: (height, width), or (taps,) where separable. None is
            the identity. The upsampled image keeps its brightness.
        fd: The downsampling filter, likewise.
        b: Bias of shape (C,), or None. It is added before the padding, which stays 0.
        up: Upsampling factor.
        down: Downsampling factor.
        padding: Zeros around the upsampled image: a number, [x, y] or [left, right, top, bottom]. Negative ones crop.
        gain: Factor of the activation.
        slope: Slope of the leaky relu below zero, at least 0.
        clamp: The activation is kept within -clamp and clamp; at least 0. None does not clamp.
        flip_filter: False convolves, True correlates, with both filters.
        impl: `cuda` takes the best implementation, see `ganframe_kernels.dispatch`; `ref` the reference.

    Raises:
        TypeError: x, b or a filter is not a floating tensor.
        ValueError: A shape, device or option is out of its range, or the result would have no pixel.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    check_choice("impl", impl, ("cuda", "ref"))
    for name, factor in (("up", up), ("down", down)):
        if factor < 1:
            raise value_error(name, "a factor of at least 1", factor)
    if slope < 0:
        raise value_error("slope", "a slope of at least 0", slope)
    if clamp is not None and clamp < 0:
        raise value_error("clamp", "None or at least 0", clamp)
    if b is not None:
        check_floating("b", b)
        check_shape("b", b, (x.shape[1],))
        check_device("b", b, x.device)
    padding = sides(padding)
    options = Options(
        up, down, padding, flip_filter, float(gain), float(slope), None if clamp is None else float(clamp)
    )
    filters = _separable(fu, x), _separable(fd, x)
    if impl == "cuda" and _fits(x, *filters, options) and use_triton(x, "filtered_lrelu", up, down):
        return fwd(x.contiguous(), *filters, b, *options)
    if b is not None:
        x = bias_act(x, b, impl=impl)
    if impl == "ref":
        x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2, impl=impl)
        x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp, impl=impl)
    else:
        x = upfirdn2d_bias_act(
            x, fu, None, up, 1, padding, flip_filter, up**2, act="lrelu", alpha=slope, act_gain=gain, clamp=clamp
        )
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter, impl=impl)


def _separable(f: Tensor | None, x: Tensor) -> Tensor | None:
    """Return the taps along each axis; None for a filter that is not separable, or not a constant on x's device."""
    if f is None:
        return torch.ones(1, device=x.device)
    fits = f.ndim == 1 and f.numel() > 0 and f.is_floating_point() and f.device == x.device and not f.requires_grad
    return f.contiguous() if fits else None


def _fits(x: Tensor, fu: Tensor | None, fd: Tensor | None, options: Options) -> bool:
    """Return whether the kernels take these arguments; `upfirdn2d` reports what is wrong with others."""
    # In the interpreter, which is for testing, products are exact in every dtype.
    if fu is None or fd is None or is_channels_last(x) or not (x.element_size() == 2 or interpreted()):
        return False
    return min(high_shape(x, fu, options)) >= fd.shape[0]


# The operators. The result F(x) is piecewise linear: its derivative at x and the adjoint of that are linear in their
# first argument and constant in x, so that gradients of every order consist of these two. x is contiguous.


def _save_all_but_the_first(ctx: Any, output: object, first: Tensor, *rest: Any) -> Grads:
    return rest[:4]


def _result_fake(x: Tensor, fu: Tensor, fd: Tensor, b: Tensor | None, *options: Any) -> Tensor:
    return x.new_empty(result_shape(x, fu, fd, Options(*options)))


def _adjoint_backward(ctx: Any, v: Tensor) -> Grads:
    return derivative(v, *ctx.saved_tensors, *ctx.options), None, None, None, None


@operator(
    "ganframe_kernels::filtered_lrelu_adjoint",
    fake=lambda g, x, *_: torch.empty_like(x),
    backward=_adjoint_backward,
    save=_save_all_but_the_first,
)
def adjoint(
    g: Tensor,
    x: Tensor,
    fu: Tensor,
    fd: Tensor,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Return the gradient of sum(g * F(x)) by x."""
    from ganframe_kernels.filtered_lrelu import kernels  # needs Triton

    return kernels.up(g, x, fu, fd, b, Options(up, down, padding, flip_filter, gain, slope, clamp))


def _derivative_backward(ctx: Any, g: Tensor) -> Grads:
    return adjoint(g, *ctx.saved_tensors, *ctx.options), None, None, None, None


@operator(
    "ganframe_kernels::filtered_lrelu_derivative",
    fake=lambda v, *rest: _result_fake(*rest),
    backward=_derivative_backward,
    save=_save_all_but_the_first,
)
def derivative(
    v: Tensor,
    x: Tensor,
    fu: Tensor,
    fd: Tensor,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Return the derivative of F at x, along v."""
    from ganframe_kernels.filtered_lrelu import kernels  # needs Triton

    return kernels.down(v, x, fu, fd, b, Options(up, down, padding, flip_filter, gain, slope, clamp))


def _fwd_backward(ctx: Any, dy: Tensor) -> Grads:
    *_, b = ctx.saved_tensors
    dx = adjoint(dy, *ctx.saved_tensors, *ctx.options)
    return dx, None, None, None if b is None else dx.sum([0, 2, 3]).to(b.dtype)


@operator("ganframe_kernels::filtered_lrelu_fwd", fake=_result_fake, backward=_fwd_backward)
def fwd(
    x: Tensor,
    fu: Tensor,
    fd: Tensor,
    b: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """See `filtered_lrelu`."""
    from ganframe_kernels.filtered_lrelu import kernels  # needs Triton

    return kernels.down(None, x, fu, fd, b, Options(up, down, padding, flip_filter, gain, slope, clamp))
