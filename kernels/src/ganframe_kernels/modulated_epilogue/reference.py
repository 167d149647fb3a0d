"""The specification of modulated_epilogue, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.precision import compute_dtype


def modulated_epilogue(
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
    """Compute `next_style * clamp(gain * lrelu(x * demod + strength * noise + bias))`, half types in float32."""
    dtype = compute_dtype(x.dtype)
    y = x.to(dtype)
    if demod is not None:
        y = y * demod.to(dtype)[:, :, None, None]
    if noise is not None:
        y = y + (noise.to(dtype) if strength is None else noise.to(dtype) * strength.to(dtype))
    if bias is not None:
        y = y + bias.to(dtype)[:, None, None]
    y = F.leaky_relu(y, alpha) * gain
    if clamp is not None:
        # As in bias_act: no gradient at the edge, and nan is kept.
        y = torch.where(y.abs() >= clamp, y.detach().sign() * clamp, y)
    if next_style is not None:
        y = y * next_style.to(dtype)[:, :, None, None]
    return y.to(x.dtype)


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
) -> Grads:
    """Return the gradients of sum(dout * out) by x, demod, strength, bias and next_style."""

    def function(
        x: Tensor, demod: Tensor | None, strength: Tensor | None, bias: Tensor | None, next_style: Tensor | None
    ) -> Tensor:
        return modulated_epilogue(x, demod, noise, strength, bias, next_style, alpha, gain, clamp)

    return vjp(function, (x, demod, strength, bias, next_style), (dout,))


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
) -> Grads:
    """Return the gradients of the results of `bwd`, contracted with the v, by dout, x, demod, strength, bias, style."""
    present = [t is not None for t in (x, demod, strength, bias, next_style)]

    def function(dout: Tensor, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
        demod, strength, bias, next_style = rest
        grads = bwd(dout, x, demod, noise, strength, bias, next_style, alpha, gain, clamp)
        return tuple(g for g in grads if g is not None)

    vs = [v for v, here in zip((v_x, v_demod, v_strength, v_bias, v_style), present, strict=True) if here]
    return vjp(function, (dout, x, demod, strength, bias, next_style), vs)
