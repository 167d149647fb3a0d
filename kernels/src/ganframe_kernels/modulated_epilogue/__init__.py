"""What follows a modulated convolution, in one pass: demodulation, noise, bias, leaky relu, the next layer's style."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.checks import check_device, check_floating, check_rank, check_shape, wrong
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense
from ganframe_kernels.modulated_epilogue import reference

__all__ = ["modulated_epilogue"]


def modulated_epilogue(
    x: Tensor,
    demod: Tensor | None = None,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
    bias: Tensor | None = None,
    next_style: Tensor | None = None,
    alpha: float = 0.2,
    gain: float = sqrt(2),
    clamp: float | None = None,
) -> Tensor:
    """Compute `next_style * clamp(gain * lrelu(x * demod + strength * noise + bias))` in one pass.

    The layer after a modulated convolution of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, section 2.2), which
    scales the result of an ordinary convolution in place of its weights. The backward is one pass as well, with all
    sums, and so is the double backward. Where the clamp acts, its edge included, the gradient is 0.

    With next_style the result is the scaled activation alone, because the next convolution is its only reader, and a
    second result would cost a third of the traffic more. The backward computes the activation again from x, which
    it reads anyway, so that a style of 0 is exact. A layer with two readers leaves next_style out.

    Args:
        x: Shape (N, C, H, W), any layout. The result has its shape and dtype, and its layout where that is contiguous
            or channels_last.
        demod: Factor of x, of shape (N, C), or None for 1.
        noise: Shape (N, 1, H, W) or (1, 1, H, W), or None for none. If it requires a gradient, the reference runs.
        strength: Factor of the noise, of shape (), or None for 1.
        bias: Shape (C,), or None for none.
        next_style: Factor of the result, of shape (N, C), or None for 1. Clamp and gain come before it.
        alpha: Slope below zero, at least 0; 1 leaves the activation out.
        gain: Factor of the activation. sqrt(2) keeps the variance near 1.
        clamp: The activation is kept within -clamp and clamp; at least 0. None does not clamp.

    Raises:
        TypeError: A tensor is not floating.
        ValueError: A tensor's shape or device does not fit x, or an option is out of its range.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    N, C, H, W = x.shape
    if noise is not None:
        check_floating("noise", noise)
        check_shape("noise", noise, (N if noise.ndim > 0 and noise.shape[0] == N else 1, 1, H, W))
        check_device("noise", noise, x.device)
    elif strength is not None:
        raise wrong("strength", "None without noise", f"a tensor of shape {tuple(strength.shape)}")
    for name, vector, shape in (
        ("demod", demod, (N, C)),
        ("strength", strength, ()),
        ("bias", bias, (C,)),
        ("next_style", next_style, (N, C)),
    ):
        if vector is not None:
            check_floating(name, vector)
            check_shape(name, vector, shape)
            check_device(name, vector, x.device)
    if alpha < 0:
        raise wrong("alpha", "a slope of at least 0", alpha)
    if clamp is not None and clamp < 0:
        raise wrong("clamp", "None or at least 0", clamp)
    arguments = (
        demod,
        noise,
        strength,
        bias,
        next_style,
        float(alpha),
        float(gain),
        None if clamp is None else float(clamp),
    )
    if not use_triton(x, "modulated_epilogue") or (noise is not None and noise.requires_grad):
        return reference.modulated_epilogue(x, *arguments)
    return fwd(dense(x), *arguments)


# The operators. x is dense; other tensors are brought to its layout. The order of the gradients is x, demod, strength,
# bias, next_style; noise has none.


def _bwdbwd_fake(dout: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(x), *_fakes(x, *arguments[:5])


def _bwdbwd_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    *tensors, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _bwdbwd_backward(ctx: Any, *grads: Tensor | None) -> Grads:
    dout, x, demod, noise, strength, bias, next_style, *vs = ctx.saved_tensors
    inputs = (dout, x, demod, strength, bias, next_style)
    # Only tensors that are present have a gradient.
    present = [grad for grad, t in zip(grads, inputs, strict=True) if t is not None]

    def function(
        dout: Tensor,
        x: Tensor,
        demod: Tensor | None,
        strength: Tensor | None,
        bias: Tensor | None,
        next_style: Tensor | None,
        *vs: Tensor | None,
    ) -> tuple[Tensor, ...]:
        found = reference.bwdbwd(
            dout, x, demod, noise, strength, bias, next_style, *vs, alpha=ctx.alpha, gain=ctx.gain, clamp=ctx.clamp
        )
        return tuple(grad for grad in found if grad is not None)

    by_dout, by_x, by_demod, *rest = vjp(function, (*inputs, *vs), present)
    return by_dout, by_x, by_demod, None, *rest, None, None, None


@operator(fake=_bwdbwd_fake, setup_context=_bwdbwd_setup, backward=_bwdbwd_backward)
def bwdbwd(
    dout: Tensor,
    x: Tensor,
    demod: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    next_style: Tensor | None,
    v_x: Tensor | None,
    v_demod: Tensor | None,
    v_strength: Tensor | None,
    v_bias: Tensor | None,
    v_style: Tensor | None,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the results of `bwd`, each contracted with its v, by dout, x, demod, strength, bias, next_style."""
    from ganframe_kernels.modulated_epilogue import triton  # noqa: PLC0415  Triton may be absent

    return triton.bwdbwd(
        dout, x, demod, noise, strength, bias, next_style, v_x, v_demod, v_strength, v_bias, v_style, alpha, gain, clamp
    )


def _bwd_fake(dout: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), *_fakes(x, *arguments[:5])


def _bwd_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    *tensors, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _bwd_backward(ctx: Any, *vs: Tensor | None) -> Grads:
    dout, x, demod, noise, strength, bias, next_style = ctx.saved_tensors
    vectors = (demod, strength, bias, next_style)
    # An absent tensor has an empty gradient, which nobody reads.
    v_x, *v_vectors = (None if t is None else v for t, v in zip((x, *vectors), vs, strict=True))
    ddout, ddx, *grads = bwdbwd(
        dout, x, demod, noise, strength, bias, next_style, v_x, *v_vectors, ctx.alpha, ctx.gain, ctx.clamp
    )
    by_demod, *rest = _present(grads, vectors)
    return ddout, ddx, by_demod, None, *rest, None, None, None


@operator(fake=_bwd_fake, setup_context=_bwd_setup, backward=_bwd_backward)
def bwd(
    dout: Tensor,
    x: Tensor,
    demod: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    next_style: Tensor | None,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of sum(dout * out) by x, demod, strength, bias, next_style; empty for what is absent."""
    from ganframe_kernels.modulated_epilogue import triton  # noqa: PLC0415  Triton may be absent

    return triton.bwd(dout, x, demod, noise, strength, bias, next_style, alpha, gain, clamp)


def _fwd_fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _fwd_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.alpha, ctx.gain, ctx.clamp = inputs
    ctx.save_for_backward(*tensors)


def _fwd_backward(ctx: Any, dout: Tensor) -> Grads:
    x, demod, noise, strength, bias, next_style = ctx.saved_tensors
    dx, *grads = bwd(dout, x, demod, noise, strength, bias, next_style, ctx.alpha, ctx.gain, ctx.clamp)
    by_demod, *rest = _present(grads, (demod, strength, bias, next_style))
    return dx, by_demod, None, *rest, None, None, None


@operator(fake=_fwd_fake, setup_context=_fwd_setup, backward=_fwd_backward)
def fwd(
    x: Tensor,
    demod: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    next_style: Tensor | None,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> Tensor:
    """See `modulated_epilogue`."""
    from ganframe_kernels.modulated_epilogue import triton  # noqa: PLC0415  Triton may be absent

    return triton.fwd(x, demod, noise, strength, bias, next_style, alpha, gain, clamp)


def _fakes(x: Tensor, demod: Tensor | None, noise: Tensor | None, *rest: Tensor | None) -> tuple[Tensor, ...]:
    """Gradients by demod, strength, bias and next_style, without values."""
    return tuple(
        x.new_empty(0) if t is None else torch.empty_like(t, memory_format=torch.contiguous_format)
        for t in (demod, *rest)
    )


def _present(grads: list[Tensor], tensors: tuple[Tensor | None, ...]) -> Grads:
    return tuple(None if t is None else g for g, t in zip(grads, tensors, strict=True))
