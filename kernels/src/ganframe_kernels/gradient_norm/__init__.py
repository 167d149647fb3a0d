"""The norm of each sample's gradient, for gradient penalties, with gradients of every order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.checks import check_floating, check_shape, wrong
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
            norm is taken together.
        squared: Whether the squared norm is wanted; it has a gradient everywhere. The norm has none at 0, and gets 0
            there, as torch.linalg.vector_norm does, but in all orders.

    Returns:
        (N,): float64 for float64, float32 for all else, since sums of squares leave the range of the half types.

    Raises:
        TypeError: x is not a floating tensor, nor are all of several.
        ValueError: x has no batch axis, or several have not the same batch, or there is none.
    """
    if not isinstance(x, (list, tuple)):
        y = _squared("x", x)
    else:
        squares = [_squared(f"x[{i}]", each) for i, each in enumerate(x)]
        if not squares:
            raise wrong("x", "a tensor, or at least one of several", "none")
        for i, each in enumerate(squares):
            check_shape(f"the batch of x[{i}]", each, tuple(squares[0].shape))
        y = squares[0] if len(squares) == 1 else torch.stack(squares).sum(0)
    if squared:
        return y
    positive = y > 0
    return torch.where(positive, torch.where(positive, y, 1).sqrt(), 0)


def _squared(argument: str, x: Tensor) -> Tensor:
    check_floating(argument, x)
    if x.ndim == 0:
        raise wrong(argument, "at least 1 dimension (N, ...)", "shape ()")
    return fwd(dense(x)) if use_triton(x, "gradient_norm") else reference.squared_norm(x)


# The operators: fwd is <x, x> for each sample, inner <x, y>, and scaled 2 g x: gradients of every order are made of
# these three. x is dense; other tensors are brought to its layout.


def _norms_fake(x: Tensor, *_: object) -> Tensor:
    return x.new_empty((x.shape[0],), dtype=compute_dtype(x.dtype))


def _inner_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    ctx.save_for_backward(*inputs)


def _inner_backward(ctx: Any, g: Tensor) -> Grads:
    x, y = ctx.saved_tensors
    half = g / 2
    return scaled(half, dense_like(y, x)), scaled(half, x)


@operator(fake=_norms_fake, setup_context=_inner_setup, backward=_inner_backward)
def inner(x: Tensor, y: Tensor) -> Tensor:
    """The inner product of each sample of x with that of y."""
    from ganframe_kernels.gradient_norm import triton  # noqa: PLC0415  Triton may be absent

    return triton.inner(x, y)


def _scaled_fake(g: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x)


def _scaled_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    ctx.save_for_backward(*inputs)


def _scaled_backward(ctx: Any, v: Tensor) -> Grads:
    g, x = ctx.saved_tensors
    v = dense_like(v, x)
    return 2 * inner(x, v), scaled(g, v)


@operator(fake=_scaled_fake, setup_context=_scaled_setup, backward=_scaled_backward)
def scaled(g: Tensor, x: Tensor) -> Tensor:
    """Gradient of sum(g * fwd(x)) by x."""
    from ganframe_kernels.gradient_norm import triton  # noqa: PLC0415  Triton may be absent

    return triton.scaled(g, x)


def _fwd_setup(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    ctx.save_for_backward(*inputs)


def _fwd_backward(ctx: Any, g: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return scaled(g, x)


@operator(fake=_norms_fake, setup_context=_fwd_setup, backward=_fwd_backward)
def fwd(x: Tensor) -> Tensor:
    """The squared norm of each sample; see `gradient_norm`."""
    from ganframe_kernels.gradient_norm import triton  # noqa: PLC0415  Triton may be absent

    return triton.inner(x, None)
