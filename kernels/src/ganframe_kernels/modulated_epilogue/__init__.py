"""The rest of a modulated convolution's layer in one pass: demodulation, noise, bias, leaky relu, next style."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.checks import check_device, check_floating, check_rank, check_shape, value_error
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

    It follows a modulated convolution of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, section 2.2), and scales the
    result of an ordinary convolution instead of its weights. The backward is one pass as well, including all sums, and
    so is the double backward. Where the clamp acts, including its edge, the gradient is 0.

    With next_style only the scaled activation is returned, because the next convolution is its only reader, and a
    second result would add a third to the memory traffic. The backward recomputes the activation from x, which it reads
    anyway, so that a style of 0 is exact. A layer with two readers omits next_style.

    Args:
        x: Shape (N, C, H, W), any layout. The result has its shape and dtype, and its layout where that is contiguous
            or channels_last.
        demod: Factor of x, of shape (N, C), or None for 1.
        noise: Shape (N, 1, H, W) or (1, 1, H, W), or None. If it requires a gradient, the reference runs.
        strength: Factor of the noise, of shape (), or None for 1.
        bias: Shape (C,), or None.
        next_style: Factor of the result, of shape (N, C), or None for 1. Clamp and gain come before it.
        alpha: Slope below zero, at least 0; 1 omits the activation.
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
        raise value_error("strength", "None without noise", f"a tensor of shape {tuple(strength.shape)}")
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
        raise value_error("alpha", "a slope of at least 0", alpha)
    if clamp is not None and clamp < 0:
        raise value_error("clamp", "None or at least 0", clamp)
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


# The operators. x is dense; other tensors are converted to its layout. The order of the gradients is x, demod,
# strength, bias, next_style; noise has none.


def _bwdbwd_fake(dout: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(x), *_fakes(x, *arguments[:5])


def _bwdbwd_backward(ctx: Any, *grads: Tensor | None) -> Grads:
    dout, x, demod, noise, strength, bias, next_style, *vs = ctx.saved_tensors
    alpha, gain, clamp = ctx.options
    inputs = (dout, x, demod, strength, bias, next_style)
    # Only the tensors that are present have a gradient.
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
            dout, x, demod, noise, strength, bias, next_style, *vs, alpha=alpha, gain=gain, clamp=clamp
        )
        return tuple(grad for grad in found if grad is not None)

    by_dout, by_x, by_demod, *rest = vjp(function, (*inputs, *vs), present)
    return by_dout, by_x, by_demod, None, *rest


@operator(
    "ganframe_kernels::modulated_epilogue_bwdbwd",
    fake=_bwdbwd_fake,
    backward=_bwdbwd_backward,
    materialize_grads=False,
)
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
    """Return the gradients of the results of `bwd`, contracted with the v, by dout, x, demod, strength, bias, style."""
    from ganframe_kernels.modulated_epilogue import kernels  # needs Triton

    return kernels.bwdbwd(
        dout, x, demod, noise, strength, bias, next_style, v_x, v_demod, v_strength, v_bias, v_style, alpha, gain, clamp
    )


def _bwd_fake(dout: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), *_fakes(x, *arguments[:5])


def _bwd_backward(ctx: Any, *vs: Tensor | None) -> Grads:
    dout, x, demod, noise, strength, bias, next_style = ctx.saved_tensors
    vectors = (demod, strength, bias, next_style)
    # An absent tensor has an empty gradient, which is not used.
    v_x, *v_vectors = (None if t is None else v for t, v in zip((x, *vectors), vs, strict=True))
    ddout, ddx, *grads = bwdbwd(dout, x, demod, noise, strength, bias, next_style, v_x, *v_vectors, *ctx.options)
    by_demod, *rest = _present(grads, vectors)
    return ddout, ddx, by_demod, None, *rest


@operator("ganframe_kernels::modulated_epilogue_bwd", fake=_bwd_fake, backward=_bwd_backward, materialize_grads=False)
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
    """Return the gradients of sum(dout * out) by x, demod, strength, bias, next_style; empty for absent tensors."""
    from ganframe_kernels.modulated_epilogue import kernels  # needs Triton

    return kernels.bwd(dout, x, demod, noise, strength, bias, next_style, alpha, gain, clamp)


def _fwd_fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x)


def _fwd_backward(ctx: Any, dout: Tensor) -> Grads:
    x, demod, noise, strength, bias, next_style = ctx.saved_tensors
    dx, *grads = bwd(dout, x, demod, noise, strength, bias, next_style, *ctx.options)
    by_demod, *rest = _present(grads, (demod, strength, bias, next_style))
    return dx, by_demod, None, *rest


@operator("ganframe_kernels::modulated_epilogue_fwd", fake=_fwd_fake, backward=_fwd_backward)
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
    from ganframe_kernels.modulated_epilogue import kernels  # needs Triton

    return kernels.fwd(x, demod, noise, strength, bias, next_style, alpha, gain, clamp)


def _fakes(x: Tensor, demod: Tensor | None, noise: Tensor | None, *rest: Tensor | None) -> tuple[Tensor, ...]:
    """Return empty tensors for the gradients by demod, strength, bias and next_style."""
    return tuple(
        x.new_empty(0) if t is None else torch.empty_like(t, memory_format=torch.contiguous_format)
        for t in (demod, *rest)
    )


def _present(grads: list[Tensor], tensors: tuple[Tensor | None, ...]) -> Grads:
    return tuple(None if t is None else g for g, t in zip(grads, tensors, strict=True))
