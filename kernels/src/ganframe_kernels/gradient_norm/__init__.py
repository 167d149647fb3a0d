"""The norm of each sample's gradient, for gradient penalties, with gradients of every order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.checks import check_floating, check_shape, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.gradient_norm import reference
from ganframe_kernels.layout import dense, dense_like
from ganframe_kernels.precision import compute_dtype

__all__ = ["gradient_norm"]


def gradient_norm(x: Tensor | list[Tensor] | tuple[Tensor, ...], squared: bool = False) -> Tensor:
    """Compute the Euclidean norm of each sample, over all axes but the first.

    R1 and R2 (Mescheder et al. 2018, arXiv:1801.04406) take its square, WGAN-GP (Gulrajani et al. 2017,
    arXiv:1704.00028) the norm.

    Args:
        x: Gradients (N, ...), any shape and layout; or several, such as those by images and by their labels, whose
            joint norm is taken.
        squared: Whether to return the squared norm, which has a gradient everywhere. The norm has none at 0; its
            gradient there is 0, as with torch.linalg.vector_norm, but in all orders.

    Returns:
        (N,): float64 for float64, float32 for all others, since sums of squares leave the range of the half types.

    Raises:
        TypeError: x, or one of several, is not a floating tensor.
        ValueError: x has no batch axis, several have different batch sizes, or the list is empty.
    """
    if not isinstance(x, (list, tuple)):
        y = _squared("x", x)
    else:
        squares = [_squared(f"x[{i}]", gradient) for i, gradient in enumerate(x)]
        if not squares:
            raise value_error("x", "a tensor, or at least one of several", "none")
        for i, square in enumerate(squares):
            check_shape(f"the batch of x[{i}]", square, tuple(squares[0].shape))
        y = squares[0] if len(squares) == 1 else torch.stack(squares).sum(0)
    if squared:
        return y
    positive = y > 0
    return torch.where(positive, torch.where(positive, y, 1).sqrt(), 0)


def _squared(argument: str, x: Tensor) -> Tensor:
    check_floating(argument, x)
    if x.ndim == 0:
        raise value_error(argument, "at least 1 dimension (N, ...)", "shape ()")
    return fwd(dense(x)) if use_triton(x, "gradient_norm") else reference.squared_norm(x)


# The operators: fwd is <x, x> for each sample, inner <x, y>, and scaled 2 g x: gradients of every order consist of
# these three. x is dense; other tensors are converted to its layout.


def _norms_fake(x: Tensor, *_: object) -> Tensor:
    return x.new_empty((x.shape[0],), dtype=compute_dtype(x.dtype))


def _inner_backward(ctx: Any, g: Tensor) -> Grads:
    x, y = ctx.saved_tensors
    half = g / 2
    return scaled(half, dense_like(y, x)), scaled(half, x)


@operator("ganframe_kernels::gradient_norm_inner", fake=_norms_fake, backward=_inner_backward)
def inner(x: Tensor, y: Tensor) -> Tensor:
    """Return the inner product of each sample of x with that of y."""
    from ganframe_kernels.gradient_norm import kernels  # needs Triton

    return kernels.inner(x, y)


def _scaled_fake(g: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x)


def _scaled_backward(ctx: Any, v: Tensor) -> Grads:
    g, x = ctx.saved_tensors
    v = dense_like(v, x)
    return 2 * inner(x, v), scaled(g, v)


@operator("ganframe_kernels::gradient_norm_scaled", fake=_scaled_fake, backward=_scaled_backward)
def scaled(g: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of sum(g * fwd(x)) by x."""
    from ganframe_kernels.gradient_norm import kernels  # needs Triton

    return kernels.scaled(g, x)


def _fwd_backward(ctx: Any, g: Tensor) -> Grads:
    (x,) = ctx.saved_tensors
    return (scaled(g, x),)


@operator("ganframe_kernels::gradient_norm_fwd", fake=_norms_fake, backward=_fwd_backward)
def fwd(x: Tensor) -> Tensor:
    """Return the squared norm of each sample; see `gradient_norm`."""
    from ganframe_kernels.gradient_norm import kernels  # needs Triton

    return kernels.inner(x, None)
