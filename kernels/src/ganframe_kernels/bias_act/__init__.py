"""Bias, activation, gain and clamp in one pass, forward and backward, with gradients of every order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.bias_act import reference
from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_shape, wrong
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
    Where the clamp acts, its edge included, the gradient is 0.

    Args:
        x: Any shape and layout. The result has its shape and dtype, and its layout where that is contiguous or
            channels_last.
        b: Bias of shape (x.shape[dim],), in any floating dtype, or None for none.
        dim: The axis of x that the bias runs along. Ignored without a bias.
        act: One of ACTIVATIONS: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish.
        alpha: Slope of lrelu below zero, at least 0; the other activations ignore it. None is 0.2.
        gain: Factor of the activation. None is the activation's own, which keeps the variance near 1: sqrt(2) for
            relu, lrelu and swish, 1 for the others.
        clamp: The result is kept within -clamp and clamp; at least 0. None does not clamp.
        impl: `cuda` takes the best implementation, see `ganframe_kernels.dispatch`; `ref` the reference.

    Raises:
        TypeError: x or b is not a floating tensor.
        ValueError: b's shape or device does not fit x, or an option is out of its range.
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
    """Check bias_act's arguments for an x of this shape; dim, act, alpha, gain and clamp with defaults filled in."""
    if b is None:
        dim = 1
    else:
        if not -len(shape) <= dim < len(shape):
            raise wrong("dim", f"an axis of x, which has {len(shape)}", dim)
        dim %= len(shape)
        check_floating("b", b)
        check_shape("b", b, (shape[dim],))
        check_device("b", b, device)
    check_choice("act", act, ACTIVATIONS)
    alpha = ACTIVATIONS[act].alpha if alpha is None else float(alpha)
    gain = ACTIVATIONS[act].gain if gain is None else float(gain)
    if alpha < 0:
        raise wrong("alpha", "a slope of at least 0", alpha)
    if clamp is not None and clamp < 0:
        raise wrong("clamp", "None or at least 0", clamp)
    return dim, act, alpha, gain, None if clamp is None else float(clamp)


# The operators. x is dense; other tensors are brought to its layout. `saved` is the output y where the activation is
# piecewise linear (the next layer keeps y anyway, and its sign tells the slope), and the input x otherwise.


def _bwdbwd_fake(v: Tensor, dy: Tensor, x: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x)


def _bwdbwd_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    *tensors, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(*tensors)


def _bwdbwd_backward(ctx: Any, *grads: Tensor) -> Grads:
    def function(v: Tensor, dy: Tensor, x: Tensor, b: Tensor | None) -> Grads:
        return reference.bwdbwd(v, dy, x, b, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp)

    return *vjp(function, ctx.saved_tensors, grads), None, None, None, None, None


@operator(fake=_bwdbwd_fake, setup_context=_bwdbwd_setup, backward=_bwdbwd_backward)
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
    """Gradients of sum(v * dx) by dy and by x, for the dx that `bwd` returns; not for piecewise linear activations."""
    from ganframe_kernels.bias_act import triton  # noqa: PLC0415  Triton may be absent

    return triton.bwdbwd(v, dy, x, b, dim, act, alpha, gain, clamp)


def _bwd_fake(dy: Tensor, saved: Tensor, b: Tensor | None, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(saved), saved.new_empty(0) if b is None else torch.empty_like(b)


def _bwd_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    dy, saved, b, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(None if ACTIVATIONS[ctx.act].piecewise_linear else dy, saved, b)
    ctx.set_materialize_grads(False)


def _bwd_backward(ctx: Any, v: Tensor | None, vb: Tensor | None) -> Grads:
    dy, saved, b = ctx.saved_tensors
    axes = [axis for axis in range(saved.ndim) if axis != ctx.dim]
    if b is not None and vb is not None:
        vb = vb.to(saved.dtype).reshape([-1 if axis == ctx.dim else 1 for axis in range(saved.ndim)])
        v = vb.expand_as(saved) if v is None else v + vb
    ddy = ddx = db = None
    if v is not None and dy is None:
        ddy, _ = bwd(v, saved, None, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp)
    elif v is not None:
        ddy, ddx = bwdbwd(v, dy, saved, b, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp)
        db = None if b is None else ddx.sum(axes).to(b.dtype)
    return ddy, ddx, db, None, None, None, None, None


@operator(fake=_bwd_fake, setup_context=_bwd_setup, backward=_bwd_backward)
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
    """Gradients of sum(dy * y) by x and by b; the second is empty without b."""
    from ganframe_kernels.bias_act import triton  # noqa: PLC0415  Triton may be absent

    return triton.bwd(dy, saved, b, dim, act, alpha, gain, clamp)


def _fwd_fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _fwd_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(output if ACTIVATIONS[ctx.act].piecewise_linear else x, b)


def _fwd_backward(ctx: Any, dy: Tensor) -> Grads:
    saved, b = ctx.saved_tensors
    dx, db = bwd(dy, saved, b, ctx.dim, ctx.act, ctx.alpha, ctx.gain, ctx.clamp)
    return dx, None if b is None else db, None, None, None, None, None


@operator(fake=_fwd_fake, setup_context=_fwd_setup, backward=_fwd_backward)
def fwd(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None) -> Tensor:
    """See `bias_act`."""
    from ganframe_kernels.bias_act import triton  # noqa: PLC0415  Triton may be absent

    return triton.fwd(x, b, dim, act, alpha, gain, clamp)
