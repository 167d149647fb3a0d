"""Bias, activation, gain and clamp in one pass, forward and backward, with gradients of every order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.bias_act import reference
from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_shape, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense

__all__ = ["ACTIVATIONS", "bias_act"]


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: Literal["cuda", "ref"] = "cuda",
) -> Tensor:
    """Compute `clamp(gain * act(x + b))` in one pass.

    It takes the arguments of the function of this name in StyleGAN2-ADA's code (Karras et al. 2020, arXiv:2006.06676).
    Where the clamp acts, including its edge, the gradient is 0.

    Args:
        x: Any shape and layout. The result has its shape and dtype, and its layout where that is contiguous or
            channels_last.
        b: Bias of shape (x.shape[dim],), in any floating dtype, or None.
        dim: The axis of x that the bias runs along. Ignored without a bias.
        act: One of ACTIVATIONS: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish.
        alpha: Slope of lrelu below zero, at least 0; the other activations ignore it. None is 0.2.
        gain: Factor of the activation. None is the activation's default, which keeps the variance near 1: sqrt(2)
            for relu, lrelu and swish, 1 for the others.
        clamp: The result is kept within -clamp and clamp; at least 0. None does not clamp.
        impl: `cuda` takes the best implementation, see `ganframe_kernels.dispatch`; `ref` the reference.

    Raises:
        TypeError: x or b is not a floating tensor.
        ValueError: The shape or device of b does not fit x, or an option is out of its range.
    """
    check_floating("x", x)
    check_choice("impl", impl, ("cuda", "ref"))
    options = resolve(x.device, x.shape, b, dim, act, alpha, gain, clamp)
    if impl == "ref" or not use_triton(x, "bias_act"):
        return reference.bias_act(x, b, *options)
    return fwd(dense(x) if options[0] == 1 else x.contiguous(), b, *options)


def resolve(
    device: torch.device,
    shape: Sequence[int],
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float | None,
    gain: float | None,
    clamp: float | None,
) -> tuple[int, str, float, float, float | None]:
    """Check bias_act's arguments for an x of this shape; return dim, act, alpha, gain and clamp, resolved."""
    if b is None:
        dim = 1
    else:
        if not -len(shape) <= dim < len(shape):
            raise value_error("dim", f"an axis of x, which has {len(shape)}", dim)
        dim %= len(shape)
        check_floating("b", b)
        check_shape("b", b, (shape[dim],))
        check_device("b", b, device)
    check_choice("act", act, ACTIVATIONS)
    alpha = ACTIVATIONS[act].alpha if alpha is None else float(alpha)
    gain = ACTIVATIONS[act].gain if gain is None else float(gain)
    if alpha < 0:
        raise value_error("alpha", "a slope of at least 0", alpha)
    if clamp is not None and clamp < 0:
        raise value_error("clamp", "None or at least 0", clamp)
    return dim, act, alpha, gain, None if clamp is None else float(clamp)


# The operators. x is dense; other tensors are converted to its layout. `saved` is the output y where the activation is
# piecewise linear (the next layer keeps y anyway, and its sign gives the slope), and the input x otherwise.


def _bwdbwd_fake(v: Tensor, dy: Tensor, x: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x)


def _bwdbwd_backward(ctx: Any, *grads: Tensor) -> Grads:
    def function(v: Tensor, dy: Tensor, x: Tensor, b: Tensor | None) -> Grads:
        return reference.bwdbwd(v, dy, x, b, *ctx.options)

    return vjp(function, ctx.saved_tensors, grads)


@operator("ganframe_kernels::bias_act_bwdbwd", fake=_bwdbwd_fake, backward=_bwdbwd_backward)
def bwdbwd(
    v: Tensor,
    dy: Tensor,
    x: Tensor,
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of sum(v * dx) by dy and x, for the dx of `bwd`; not for piecewise linear activations."""
    from ganframe_kernels.bias_act import kernels  # needs Triton

    return kernels.bwdbwd(v, dy, x, b, dim, act, alpha, gain, clamp)


def _bwd_fake(dy: Tensor, saved: Tensor, b: Tensor | None, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(saved), saved.new_empty(0) if b is None else torch.empty_like(b)


def _bwd_save(
    ctx: Any, output: object, dy: Tensor, saved: Tensor, b: Tensor | None, dim: int, act: str, *_: object
) -> Grads:
    return None if ACTIVATIONS[act].piecewise_linear else dy, saved, b


def _bwd_backward(ctx: Any, v: Tensor | None, vb: Tensor | None) -> Grads:
    dy, saved, b = ctx.saved_tensors
    dim = ctx.options[0]
    axes = [axis for axis in range(saved.ndim) if axis != dim]
    if b is not None and vb is not None:
        vb = vb.to(saved.dtype).reshape([-1 if axis == dim else 1 for axis in range(saved.ndim)])
        v = vb.expand_as(saved) if v is None else v + vb
    ddy = ddx = db = None
    if v is not None and dy is None:
        ddy, _ = bwd(v, saved, None, *ctx.options)
    elif v is not None:
        ddy, ddx = bwdbwd(v, dy, saved, b, *ctx.options)
        db = None if b is None else ddx.sum(axes).to(b.dtype)
    return ddy, ddx, db


@operator(
    "ganframe_kernels::bias_act_bwd", fake=_bwd_fake, backward=_bwd_backward, save=_bwd_save, materialize_grads=False
)
def bwd(
    dy: Tensor,
    saved: Tensor,
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of sum(dy * y) by x and by b; the second is empty without b."""
    from ganframe_kernels.bias_act import kernels  # needs Triton

    return kernels.bwd(dy, saved, b, dim, act, alpha, gain, clamp)


def _fwd_fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _fwd_save(ctx: Any, output: Tensor, x: Tensor, b: Tensor | None, dim: int, act: str, *_: object) -> Grads:
    return output if ACTIVATIONS[act].piecewise_linear else x, b


def _fwd_backward(ctx: Any, dy: Tensor) -> Grads:
    saved, b = ctx.saved_tensors
    dx, db = bwd(dy, saved, b, *ctx.options)
    return dx, None if b is None else db


@operator("ganframe_kernels::bias_act_fwd", fake=_fwd_fake, backward=_fwd_backward, save=_fwd_save)
def fwd(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None) -> Tensor:
    """See `bias_act`."""
    from ganframe_kernels.bias_act import kernels  # needs Triton

    return kernels.fwd(x, b, dim, act, alpha, gain, clamp)
