"""The largest singular values of all layers of a network by power iteration, in a few launches in total."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.checks import check_device, check_floating, check_shape, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.spectral_norm import reference
from ganframe_kernels.spectral_norm.reference import Layers

__all__ = ["spectral_norm_sigma"]


def spectral_norm_sigma(
    weights: Sequence[Tensor], us: Sequence[Tensor], vs: Sequence[Tensor], iterations: int = 1, eps: float = 1e-12
) -> Layers:
    """Estimate the largest singular value of each weight: Miyato et al. 2018, arXiv:1802.05957, algorithm 1.

    An iteration is `u = W v / ||W v||`, then `v = W^T u / ||W^T u||`, and `sigma = u^T W v`. It computes what
    torch.nn.utils.parametrizations.spectral_norm does, in the same order, for all layers at once, deterministically and
    in at least float32, also under autocast. sigma has gradients of every order by the weights, with u and v constant:
    `dsigma / dW = u v^T`.

    Args:
        weights: One for each layer, at least one, (rows, ...) in any layout, all of one dtype and device. W is the
            weight as a matrix with a row for each index of its first axis; for a transposed convolution pass
            `weight.transpose(0, 1)`.
        us: (rows,) each, all of one floating dtype: the left vectors of the previous call. Their values are used only
            without iterations. They are not changed.
        vs: (columns,) each, of the dtype of us: the right vectors. They are not changed.
        iterations: At least 0: usually 1 in training and 0 in evaluation.
        eps: Smallest norm that a vector is divided by.

    Returns:
        sigmas (layers,), float64 for float64 and float32 for all others, and the new us and vs, constants for autograd,
        to be copied into the buffers of the layers.

    Raises:
        TypeError: A tensor is not floating.
        ValueError: A list is empty or not as long as weights; a shape, dtype or device is wrong; iterations or eps is
            out of its range.
    """
    _check(weights, us, vs)
    if iterations < 0:
        raise value_error("iterations", "at least 0", iterations)
    if eps <= 0:
        raise value_error("eps", "more than 0", eps)
    matrices = [w.flatten(1) for w in weights]
    if not use_triton(weights[0], "spectral_norm", len(weights)):
        return reference.spectral_norm_sigma(matrices, us, vs, iterations, eps)
    sizes = [size for W in matrices for size in W.shape]
    flat = torch.cat([W.reshape(-1) for W in matrices])
    sigmas, u, v = power(
        flat, torch.cat(list(us)).detach(), torch.cat(list(vs)).detach(), sizes, iterations, float(eps)
    )
    return sigmas, list(u.detach().split(sizes[::2])), list(v.detach().split(sizes[1::2]))


def _check(weights: Sequence[Tensor], us: Sequence[Tensor], vs: Sequence[Tensor]) -> None:
    if not weights:
        raise value_error("weights", "at least one", "none")
    for name, tensors in (("us", us), ("vs", vs)):
        if len(tensors) != len(weights):
            raise value_error(name, f"one for each of the {len(weights)} weights", len(tensors))
    for i, (w, u, v) in enumerate(zip(weights, us, vs, strict=True)):
        check_floating(f"weights[{i}]", w)
        if w.ndim < 2 or w.numel() == 0:
            raise value_error(f"weights[{i}]", "at least 2 dimensions and one element", f"shape {tuple(w.shape)}")
        for name, x, size in (("us", u, w.shape[0]), ("vs", v, w.shape[1:].numel())):
            check_floating(f"{name}[{i}]", x)
            check_shape(f"{name}[{i}]", x, (size,))
        for name, x, first in (("weights", w, weights[0]), ("us", u, us[0]), ("vs", v, us[0])):
            check_device(f"{name}[{i}]", x, weights[0].device)
            if x.dtype != first.dtype:
                raise value_error(f"{name}[{i}]", f"{first.dtype}, as the first of them", x.dtype)


# The operators. The tensors of all layers are concatenated into one. sigma is linear in the weights, so that the
# derivative of outer is power without iterations, and gradients of every order consist of these two.


def _outer_fake(g: Tensor, u: Tensor, v: Tensor, sizes: list[int], dtype: torch.dtype) -> Tensor:
    numel = sum(rows * columns for rows, columns in zip(sizes[::2], sizes[1::2], strict=True))
    return g.new_empty((numel,), dtype=dtype)


def _outer_save(ctx: Any, output: object, g: Tensor, u: Tensor, v: Tensor, *_: object) -> Grads:
    return u, v


def _outer_backward(ctx: Any, dw: Tensor) -> Grads:
    u, v = ctx.saved_tensors
    sizes, _ = ctx.options
    # Without iterations eps is not used.
    return power(dw.contiguous(), u, v, sizes, 0, 1.0)[0], None, None


@operator("ganframe_kernels::spectral_norm_outer", fake=_outer_fake, backward=_outer_backward, save=_outer_save)
def outer(g: Tensor, u: Tensor, v: Tensor, sizes: list[int], dtype: torch.dtype) -> Tensor:
    """Return the products g u v^T: the gradient of sum(g * sigma) by the weights."""
    from ganframe_kernels.spectral_norm import kernels  # needs Triton

    return kernels.outer(g, u, v, sizes, dtype)


def _power_fake(
    weights: Tensor, u: Tensor, v: Tensor, sizes: list[int], iterations: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    sigma = weights.new_empty((len(sizes) // 2,), dtype=compute_dtype(weights.dtype))
    return sigma, torch.empty_like(u), torch.empty_like(v)


def _power_save(ctx: Any, output: tuple[Tensor, Tensor, Tensor], weights: Tensor, *_: object) -> Grads:
    ctx.dtype = weights.dtype
    return output[1:]


def _power_backward(ctx: Any, g: Tensor | None, *_: Tensor | None) -> Grads:
    u, v = ctx.saved_tensors
    sizes, _, _ = ctx.options
    dw = None if g is None else outer(g, u.detach(), v.detach(), sizes, ctx.dtype)
    return dw, None, None


@operator(
    "ganframe_kernels::spectral_norm_power",
    fake=_power_fake,
    backward=_power_backward,
    save=_power_save,
    materialize_grads=False,
)
def power(
    weights: Tensor, u: Tensor, v: Tensor, sizes: list[int], iterations: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigma, u and v of all layers; see `spectral_norm_sigma`. No gradients go through u and v."""
    from ganframe_kernels.spectral_norm import kernels  # needs Triton

    return kernels.power(weights, u, v, sizes, iterations, eps)
