"""The sum of the squared distances of all pairs of a batch, in O(N D) time and no memory besides the batch."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.checks import check_choice, check_floating, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense, dense_like
from ganframe_kernels.pairwise_diversity import reference
from ganframe_kernels.precision import compute_dtype

__all__ = ["pairwise_diversity"]


def pairwise_diversity(x: Tensor, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """Compute sum_{i<j} ||x_i - x_j||^2 over the samples of a batch.

    It is computed as N sum_i ||x_i - m||^2, with m the mean of the batch: about the mean nothing cancels, while
    N sum ||x_i||^2 - ||sum x_i||^2 loses all digits where the samples are close together and far from 0. Before that,
    x_0 is subtracted from every sample, so that m is not rounded like large numbers. The gradient by x_i is
    2 N (x_i - m).

    Args:
        x: (N, ...), any shape and layout.
        reduction: `sum`, or `mean` over the N (N - 1) / 2 pairs. Both are 0 for fewer than two samples.

    Returns:
        A scalar: float64 for float64, otherwise float32, since a sum over pairs leaves the range of the half types.

    Raises:
        TypeError: x is not a floating tensor.
        ValueError: x has no batch axis, or the reduction is unknown.
    """
    check_floating("x", x)
    if x.ndim == 0:
        raise value_error("x", "at least 1 dimension (N, ...)", "shape ()")
    check_choice("reduction", reduction, ("sum", "mean"))
    if not use_triton(x, "pairwise_diversity"):
        return reference.pairwise_diversity(x, reduction)
    return fwd(dense(x), reduction)


# The operators: with P x = x - m and the factor c, fwd is c <Px, Px>, inner c <Px, Py>, and centred 2 c g P x. P is
# linear, self-adjoint and its own square, so that gradients of every order consist of these three. x is dense; other
# tensors are converted to its layout.


def _scalar_fake(x: Tensor, *_: object) -> Tensor:
    return x.new_empty((), dtype=compute_dtype(x.dtype))


def _inner_backward(ctx: Any, g: Tensor) -> Grads:
    x, y = ctx.saved_tensors
    half = g / 2
    return centred(half, dense_like(y, x), *ctx.options), centred(half, x, *ctx.options)


@operator("ganframe_kernels::pairwise_diversity_inner", fake=_scalar_fake, backward=_inner_backward)
def inner(x: Tensor, y: Tensor, reduction: str) -> Tensor:
    """Return the inner product of the centred batches x and y, times the factor of the reduction."""
    from ganframe_kernels.pairwise_diversity import kernels  # needs Triton

    return kernels.inner(x, y, reduction)


def _centred_fake(g: Tensor, x: Tensor, reduction: str) -> Tensor:
    return torch.empty_like(x)


def _centred_backward(ctx: Any, v: Tensor) -> Grads:
    g, x = ctx.saved_tensors
    v = dense_like(v, x)
    return 2 * inner(x, v, *ctx.options), centred(g, v, *ctx.options)


@operator("ganframe_kernels::pairwise_diversity_centred", fake=_centred_fake, backward=_centred_backward)
def centred(g: Tensor, x: Tensor, reduction: str) -> Tensor:
    """Return the gradient of g * fwd(x) by x."""
    from ganframe_kernels.pairwise_diversity import kernels  # needs Triton

    return kernels.centred(g, x, reduction)


def _fwd_backward(ctx: Any, g: Tensor) -> Grads:
    (x,) = ctx.saved_tensors
    return (centred(g, x, *ctx.options),)


@operator("ganframe_kernels::pairwise_diversity_fwd", fake=_scalar_fake, backward=_fwd_backward)
def fwd(x: Tensor, reduction: str) -> Tensor:
    """See `pairwise_diversity`."""
    from ganframe_kernels.pairwise_diversity import kernels  # needs Triton

    return kernels.inner(x, None, reduction)
