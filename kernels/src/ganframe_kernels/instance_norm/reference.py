"""The specification of instance norm with affine map, activation, residual sum and padding, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.precision import compute_dtype


def norm_act(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> Tensor:
    """Compute `pad(act(scale * xhat + shift) + residual)`, in float32 for the half types.

    Args:
        x: (N, C, H, W).
        scale: (C,) or (N, C), or None for 1.
        shift: As scale, or None for 0.
        residual: (N, C, H, W), or None for 0.
        act: One of ACTIVATIONS, with gain 1.
        alpha: Slope of lrelu below zero.
        eps: Added to the biased variance over H and W.
        padding: Pixels of reflection on each side.
    """
    y = x.to(compute_dtype(x.dtype))
    # PyTorch rejects planes of one pixel, which are their own mean, and an empty batch.
    y = F.instance_norm(y, eps=eps) if y.numel() and y[0, 0].numel() > 1 else y - y.mean((2, 3), keepdim=True)
    if scale is not None:
        y = y * scale.to(y.dtype)[..., None, None]
    if shift is not None:
        y = y + shift.to(y.dtype)[..., None, None]
    y = ACTIVATIONS[act].function(y, alpha)
    if residual is not None:
        y = y + residual.to(y.dtype)
    if padding:
        y = F.pad(y, (padding,) * 4, mode="reflect")
    return y.to(x.dtype)


def bwd(
    dy: Tensor,
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> Grads:
    """Return the gradients of sum(dy * y) by x, scale, shift and residual."""

    def function(x: Tensor, scale: Tensor | None, shift: Tensor | None, residual: Tensor) -> Tensor:
        return norm_act(x, scale, shift, residual, act, alpha, eps, padding)

    # The gradients do not depend on the value of the residual.
    return vjp(function, (x, scale, shift, torch.zeros_like(x)), (dy,))


def bwdbwd(
    v: Tensor,
    vscale: Tensor | None,
    vshift: Tensor | None,
    vresidual: Tensor | None,
    dy: Tensor,
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> Grads:
    """Return the gradients by dy, x, scale and shift of the sum of the gradients of `bwd`, each times its v."""

    def function(dy: Tensor, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Grads:
        return bwd(dy, x, scale, shift, act, alpha, eps, padding)

    return vjp(function, (dy, x, scale, shift), (v, vscale, vshift, vresidual))
