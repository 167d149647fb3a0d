# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of bias_act.

A tensor is a matrix of M rows and K columns without gaps: rows (n, c) and columns of pixels where it is contiguous,
rows of pixels and columns c where the channels are innermost. One program handles one tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like, is_channels_last
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def activation(x, ACT: tl.constexpr, ALPHA: tl.constexpr):
    """Return the activation of x, and its first two derivatives."""
    zero = tl.zeros_like(x)
    one = zero + 1.0
    # max(x, 0) would turn nan into 0, and nan must reach the loss.
    if ACT == "linear":
        return x, one, zero
    elif ACT == "relu":
        return tl.where(x < 0, zero, x), tl.where(x > 0, one, zero), zero
    elif ACT == "lrelu":
        slope = tl.where(x > 0, one, zero + ALPHA)
        return x * slope, slope, zero
    elif ACT == "tanh":
        e = tl.exp(-2.0 * tl.abs(x))
        t = (1.0 - e) / (1.0 + e)
        t = tl.where(x < 0, -t, t)
        return t, 1.0 - t * t, -2.0 * t * (1.0 - t * t)
    elif ACT == "elu" or ACT == "selu":
        # The constants of selu: Klambauer et al. 2017, arXiv:1706.02515, eq. 14. exp of a positive x is not used.
        SCALE: tl.constexpr = 1.0507009873554805 if ACT == "selu" else 1.0
        FALL: tl.constexpr = 1.0507009873554805 * 1.6732632423543772 if ACT == "selu" else 1.0
        e = FALL * tl.exp(tl.where(x > 0, zero, x))
        return tl.where(x > 0, SCALE * x, e - FALL), tl.where(x > 0, zero + SCALE, e), tl.where(x > 0, zero, e)
    else:
        e = tl.exp(-tl.abs(x))  # exp(-x) would overflow.
        s = tl.where(x < 0, e, one) / (1.0 + e)
        ds = s * (1.0 - s)
        if ACT == "sigmoid":
            return s, ds, ds * (1.0 - 2.0 * s)
        elif ACT == "softplus":
            return tl.where(x < 0, zero, x) + tl.log(1.0 + e), s, ds
        else:
            tl.static_assert(ACT == "swish")
            return x * s, s + x * ds, ds * (2.0 + x * (1.0 - 2.0 * s))


@triton.jit
def _tile(M, K, channels, CHANNELS_LAST: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr):
    """Return the offsets, mask and channel of this program's tile; rows in int64, for more than 2**31 elements."""
    m = (tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M))[:, None]
    k = (tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K))[None, :]
    channel = k if CHANNELS_LAST else m % channels
    channel_mask = k < K if CHANNELS_LAST else m < M
    return m * K + k, (m < M) & (k < K), channel, channel_mask


@triton.jit
def _input(X, B, offsets, mask, channel, channel_mask, ACC: tl.constexpr):
    """Return x + b."""
    x = tl.load(X + offsets, mask, other=0.0).to(ACC)
    if B is not None:
        x += tl.load(B + channel, channel_mask, other=0.0).to(ACC)
    return x


@triton.jit
def clamped(y, CLAMP: tl.constexpr):
    """Clamp y to -CLAMP .. CLAMP; nan is kept."""
    if CLAMP is not None:
        limit = tl.full([1, 1], CLAMP, y.dtype)
        y = tl.where(y > limit, limit, tl.where(y < -limit, -limit, y))
    return y


@triton.jit
def unclamped(dy, y, CLAMP: tl.constexpr, DTYPE: tl.constexpr):
    """Return dy, or 0 where y was clamped and then rounded to DTYPE."""
    if CLAMP is not None:
        # A full tensor, because Triton compares float64 with a number in float32.
        limit = tl.full([1, 1], CLAMP, y.dtype).to(DTYPE).to(y.dtype)
        dy = tl.where(tl.abs(y) >= limit, tl.zeros_like(dy), dy)
    return dy


@triton.jit
def fwd_kernel(
    X, B, Y, M, K, channels,
    ACT: tl.constexpr, ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute Y from X."""
    offsets, mask, channel, channel_mask = _tile(M, K, channels, CHANNELS_LAST, BLOCK_M, BLOCK_K)
    y, _, _ = activation(_input(X, B, offsets, mask, channel, channel_mask, ACC), ACT, ALPHA)
    tl.store(Y + offsets, clamped(y * GAIN, CLAMP).to(Y.dtype.element_ty), mask)


@triton.jit
def bwd_kernel(
    DY, SAVED, B, DX, PARTIAL, M, K, channels,
    ACT: tl.constexpr, ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr, SAVED_IS_OUTPUT: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute DX and the partial sums of the bias's gradient from DY."""
    offsets, mask, channel, channel_mask = _tile(M, K, channels, CHANNELS_LAST, BLOCK_M, BLOCK_K)
    dx = tl.load(DY + offsets, mask, other=0.0).to(ACC)
    if SAVED_IS_OUTPUT:
        y = tl.load(SAVED + offsets, mask, other=0.0).to(ACC)
        # Only the sign of x matters, which is that of y, up to the sign of the gain.
        _, slope, _ = activation(y if GAIN > 0 else -y, ACT, ALPHA)
        dx = unclamped(dx, y, CLAMP, SAVED.dtype.element_ty)
    else:
        y, slope, _ = activation(_input(SAVED, B, offsets, mask, channel, channel_mask, ACC), ACT, ALPHA)
        dx = unclamped(dx, y * GAIN, CLAMP, ACC)
    dx *= slope * GAIN
    tl.store(DX + offsets, dx.to(DX.dtype.element_ty), mask)
    if PARTIAL is not None:
        # One row of sums for each tile; the launcher adds the rows. No atomics: the result is deterministic.
        if CHANNELS_LAST:
            k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
            tl.store(PARTIAL + tl.program_id(0).to(tl.int64) * K + k, tl.sum(dx, axis=0), k < K)
        else:
            m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
            tl.store(PARTIAL + tl.program_id(1).to(tl.int64) * M + m, tl.sum(dx, axis=1), m < M)


@triton.jit
def bwdbwd_kernel(
    V, DY, X, B, DDY, DDX, M, K, channels,
    ACT: tl.constexpr, ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of sum(V * DX) by DY and X."""
    offsets, mask, channel, channel_mask = _tile(M, K, channels, CHANNELS_LAST, BLOCK_M, BLOCK_K)
    y, slope, curvature = activation(_input(X, B, offsets, mask, channel, channel_mask, ACC), ACT, ALPHA)
    v = unclamped(tl.load(V + offsets, mask, other=0.0).to(ACC) * GAIN, y * GAIN, CLAMP, ACC)
    dy = tl.load(DY + offsets, mask, other=0.0).to(ACC)
    tl.store(DDY + offsets, (v * slope).to(DDY.dtype.element_ty), mask)
    tl.store(DDX + offsets, (v * dy * curvature).to(DDX.dtype.element_ty), mask)


class Matrix(NamedTuple):
    """A dense tensor as a matrix, and its tiles."""

    grid: tuple[int, int]
    sizes: tuple[int, int, int]
    """M, K and the number of channels."""
    constants: dict[str, Any]


def matrix(op: str, x: Tensor, b: Tensor | None, dim: int) -> Matrix:
    """Return the dense tensor x as a matrix whose rows or columns run along the channels, axis `dim`."""
    # Without a bias there are no channels, and the tensor is one long column.
    channels, inner = (1, 1) if b is None else (x.shape[dim], x.shape[dim + 1 :].numel())
    channels_last = inner == 1 or is_channels_last(x)
    K = channels if channels_last else inner
    M = x.numel() // max(K, 1)
    block_k = min(triton.next_power_of_2(max(K, 1)), 1024)
    config = tuned(op, x, (M, K), BLOCK_M=2048 // block_k, BLOCK_K=block_k, num_warps=4)
    grid = (triton.cdiv(M, config["BLOCK_M"]), triton.cdiv(K, config["BLOCK_K"]))
    return Matrix(grid, (M, K, channels), {"ACC": accumulator(x.dtype), "CHANNELS_LAST": channels_last, **config})


def fwd(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None) -> Tensor:
    """See the operator."""
    y = torch.empty_like(x)
    grid, sizes, constants = matrix("bias_act", x, b, dim)
    launch(fwd_kernel, grid, x, b, y, *sizes, ACT=act, ALPHA=alpha, GAIN=gain, CLAMP=clamp, **constants)
    return y


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
    """See the operator."""
    dx = torch.empty_like(saved)
    grid, sizes, constants = matrix("bias_act_bwd", saved, b, dim)
    M, K, channels = sizes
    partial = None
    if b is not None:
        shape = (grid[0], K) if constants["CHANNELS_LAST"] else (grid[1], M)
        partial = torch.empty(shape, dtype=compute_dtype(saved.dtype), device=saved.device)
    launch(
        bwd_kernel, grid, dense_like(dy, saved), saved, b, dx, partial, *sizes,
        ACT=act, ALPHA=alpha, GAIN=gain, CLAMP=clamp, SAVED_IS_OUTPUT=ACTIVATIONS[act].piecewise_linear, **constants,
    )  # fmt: skip
    if b is None or partial is None:
        return dx, dx.new_empty(0)
    return dx, partial.view(-1, channels).sum(0).to(b.dtype)


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
    """See the operator."""
    ddy, ddx = torch.empty_like(x), torch.empty_like(x)
    grid, sizes, constants = matrix("bias_act_bwdbwd", x, b, dim)
    launch(
        bwdbwd_kernel, grid, dense_like(v, x), dense_like(dy, x), x, b, ddy, ddx, *sizes,
        ACT=act, ALPHA=alpha, GAIN=gain, CLAMP=clamp, **constants,
    )  # fmt: skip
    return ddy, ddx
