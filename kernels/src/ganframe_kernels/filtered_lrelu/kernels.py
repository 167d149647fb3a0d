# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of filtered_lrelu, for separable filters and contiguous images.

Along one axis, z = U x upsamples and filters and y = D a filters and downsamples: bands of which each row has the taps
of its filter. A program computes a tile of one plane by products of small dense blocks of these matrices,
`D act(U x U^T) D^T`; nothing at the higher resolution is written to memory. Axes: o of the result, p of the higher
resolution, i of x.

Matrix units round float32, and without them the blocks do not fit into registers: on a GPU only the half types use
these kernels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.bias_act.kernels import clamped, unclamped
from ganframe_kernels.filtered_lrelu.shapes import Options, result_shape
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.tuning import tuned


@triton.jit
def _up(F, p, i, pad, UP: tl.constexpr, TAPS: tl.constexpr, FLIP: tl.constexpr, ACC: tl.constexpr):
    """Return the block of U at p and i, which broadcast to a matrix."""
    k = i * UP + pad - p
    inside = (k >= 0) & (k < TAPS)
    return tl.load(F + (k if FLIP else TAPS - 1 - k), inside, other=0.0).to(ACC) * UP


@triton.jit
def _down(F, o, p, DOWN: tl.constexpr, TAPS: tl.constexpr, FLIP: tl.constexpr, ACC: tl.constexpr):
    """Return the block of D at o and p, which broadcast to a matrix."""
    k = p - o * DOWN
    inside = (k >= 0) & (k < TAPS)
    return tl.load(F + (k if FLIP else TAPS - 1 - k), inside, other=0.0).to(ACC)


@triton.jit
def _piece(X, row, column, height, width, ACC: tl.constexpr):
    """Return the plane X at these rows and columns, 0 outside of it, and the mask."""
    r, c = row[:, None], column[None, :]
    inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
    return tl.load(X + r * width + c, inside, other=0.0).to(ACC), inside


@triton.jit
def _product(a, b, c, PRECISION: tl.constexpr, ACC: tl.constexpr):
    """Return the product a b c."""
    return tl.dot(tl.dot(a, b, input_precision=PRECISION, out_dtype=ACC), c, input_precision=PRECISION, out_dtype=ACC)


@triton.jit
def _activation(z, GAIN: tl.constexpr, SLOPE: tl.constexpr, CLAMP: tl.constexpr):
    """Return y = clamp(gain * lrelu(z)) and its derivative by z, which is 0 where the clamp acts."""
    one = tl.full([1, 1], GAIN, z.dtype)
    slope = tl.where(z > 0, one, one * tl.full([1, 1], SLOPE, z.dtype))
    y = z * slope
    return clamped(y, CLAMP), unclamped(slope, y, CLAMP, z.dtype)


@triton.jit
def _high(
    X, B, n, channels, row, column, p_y, p_x, FU, height, width, left, top,
    UP: tl.constexpr, TAPS_U: tl.constexpr, FLIP: tl.constexpr, PRECISION: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Return a block of x + b, or of x alone, at the higher resolution."""
    x, inside = _piece(X + n.to(tl.int64) * height * width, row, column, height, width, ACC)
    if B is not None:
        x = tl.where(inside, x + tl.load(B + n % channels).to(ACC), x)
    u_y = _up(FU, p_y[:, None], row[None, :], top, UP, TAPS_U, FLIP, ACC)
    u_x = _up(FU, p_x[None, :], column[:, None], left, UP, TAPS_U, FLIP, ACC)
    return _product(u_y, x, u_x, PRECISION, ACC)


@triton.jit
def _least(p, pad, UP: tl.constexpr):
    """Return the first i that contributes to p."""
    start = p - pad
    return tl.where(start >= 0, (start + UP - 1) // UP, -((-start) // UP))


@triton.jit
def down_kernel(
    V, X, FU, FD, B, Y, channels, height, width, out_height, out_width, left, top,
    UP: tl.constexpr, DOWN: tl.constexpr, TAPS_U: tl.constexpr, TAPS_D: tl.constexpr, FLIP: tl.constexpr,
    GAIN: tl.constexpr, SLOPE: tl.constexpr, CLAMP: tl.constexpr, PRECISION: tl.constexpr, ACC: tl.constexpr,
    DERIVATIVE: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_I: tl.constexpr,
):  # fmt: skip
    """Compute Y from X, or with DERIVATIVE the derivative at X applied to V."""
    blocks = tl.cdiv(out_width, BLOCK)
    n = tl.program_id(0)
    first_y, first_x = tl.program_id(1) // blocks * BLOCK, tl.program_id(1) % blocks * BLOCK
    o_y, o_x = first_y + tl.arange(0, BLOCK), first_x + tl.arange(0, BLOCK)
    p_y, p_x = first_y * DOWN + tl.arange(0, BLOCK_P), first_x * DOWN + tl.arange(0, BLOCK_P)
    row = _least(first_y * DOWN, top, UP) + tl.arange(0, BLOCK_I)
    column = _least(first_x * DOWN, left, UP) + tl.arange(0, BLOCK_I)
    z = _high(X, B, n, channels, row, column, p_y, p_x, FU, height, width, left, top, UP, TAPS_U, FLIP, PRECISION, ACC)
    a, slope = _activation(z, GAIN, SLOPE, CLAMP)
    if DERIVATIVE:
        a = slope * _high(
            V, None, n, channels, row, column, p_y, p_x, FU, height, width, left, top, UP, TAPS_U, FLIP, PRECISION, ACC
        )
    d_y = _down(FD, o_y[:, None], p_y[None, :], DOWN, TAPS_D, FLIP, ACC)
    d_x = _down(FD, o_x[None, :], p_x[:, None], DOWN, TAPS_D, FLIP, ACC)
    y = _product(d_y, a, d_x, PRECISION, ACC)
    mask = (o_y < out_height)[:, None] & (o_x < out_width)[None, :]
    target = Y + n.to(tl.int64) * out_height * out_width + o_y[:, None] * out_width + o_x[None, :]
    tl.store(target, y.to(Y.dtype.element_ty), mask)


@triton.jit
def up_kernel(
    G, X, FU, FD, B, DX, channels, height, width, out_height, out_width, left, top,
    UP: tl.constexpr, DOWN: tl.constexpr, TAPS_U: tl.constexpr, TAPS_D: tl.constexpr, FLIP: tl.constexpr,
    GAIN: tl.constexpr, SLOPE: tl.constexpr, CLAMP: tl.constexpr, PRECISION: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_I: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """Compute DX from the gradient G of the result: the adjoint of the derivative at X, applied to G."""
    blocks = tl.cdiv(width, BLOCK)
    n = tl.program_id(0)
    first_y, first_x = tl.program_id(1) // blocks * BLOCK, tl.program_id(1) % blocks * BLOCK
    i_y, i_x = first_y + tl.arange(0, BLOCK), first_x + tl.arange(0, BLOCK)
    start_y, start_x = first_y * UP + top - TAPS_U + 1, first_x * UP + left - TAPS_U + 1
    p_y, p_x = start_y + tl.arange(0, BLOCK_P), start_x + tl.arange(0, BLOCK_P)
    row = _least(start_y, top, UP) + tl.arange(0, BLOCK_I)
    column = _least(start_x, left, UP) + tl.arange(0, BLOCK_I)
    z = _high(X, B, n, channels, row, column, p_y, p_x, FU, height, width, left, top, UP, TAPS_U, FLIP, PRECISION, ACC)
    _, slope = _activation(z, GAIN, SLOPE, CLAMP)
    o_y = _least(start_y, TAPS_D - 1, DOWN) + tl.arange(0, BLOCK_O)
    o_x = _least(start_x, TAPS_D - 1, DOWN) + tl.arange(0, BLOCK_O)
    g, _ = _piece(G + n.to(tl.int64) * out_height * out_width, o_y, o_x, out_height, out_width, ACC)
    d_y = _down(FD, o_y[None, :], p_y[:, None], DOWN, TAPS_D, FLIP, ACC)
    d_x = _down(FD, o_x[:, None], p_x[None, :], DOWN, TAPS_D, FLIP, ACC)
    # No o contributes to a p outside of the higher resolution.
    a = slope * _product(d_y, g, d_x, PRECISION, ACC)
    u_y = _up(FU, p_y[None, :], i_y[:, None], top, UP, TAPS_U, FLIP, ACC)
    u_x = _up(FU, p_x[:, None], i_x[None, :], left, UP, TAPS_U, FLIP, ACC)
    dx = _product(u_y, a, u_x, PRECISION, ACC)
    mask = (i_y < height)[:, None] & (i_x < width)[None, :]
    target = DX + n.to(tl.int64) * height * width + i_y[:, None] * width + i_x[None, :]
    tl.store(target, dx.to(DX.dtype.element_ty), mask)


def _constants(x: Tensor, fu: Tensor, fd: Tensor, options: Options) -> dict[str, Any]:
    return {
        "UP": options.up, "DOWN": options.down, "TAPS_U": fu.shape[0], "TAPS_D": fd.shape[0],
        "FLIP": options.flip_filter, "GAIN": options.gain, "SLOPE": options.slope, "CLAMP": options.clamp,
        # The matrix units keep more digits than the half types have.
        "PRECISION": "tf32" if x.element_size() == 2 else "ieee", "ACC": accumulator(x.dtype),
    }  # fmt: skip


def _block(size: int) -> int:
    """Return the smallest block for a matrix product that holds this many elements."""
    return max(triton.next_power_of_2(size), 16)


def down(v: Tensor | None, x: Tensor, fu: Tensor, fd: Tensor, b: Tensor | None, options: Options) -> Tensor:
    """Return the result, or with v the derivative at x applied to v."""
    N, C, H, W = x.shape
    y = torch.empty(result_shape(x, fu, fd, options), dtype=x.dtype, device=x.device)
    config = tuned("filtered_lrelu", x, (N * C, *y.shape[2:]), BLOCK=16, num_warps=8)
    high = (config["BLOCK"] - 1) * options.down + fd.shape[0]
    blocks = {"BLOCK_P": _block(high), "BLOCK_I": _block((_block(high) + fu.shape[0] - 2) // options.up + 2)}
    tiles = triton.cdiv(y.shape[2], config["BLOCK"]) * triton.cdiv(y.shape[3], config["BLOCK"])
    launch(
        down_kernel, (N * C, tiles), x if v is None else v.contiguous(), x, fu, fd, b, y, C, H, W, *y.shape[2:],
        options.padding[0], options.padding[2], DERIVATIVE=v is not None, **_constants(x, fu, fd, options), **blocks,
        **config,
    )  # fmt: skip
    return y


def up(g: Tensor, x: Tensor, fu: Tensor, fd: Tensor, b: Tensor | None, options: Options) -> Tensor:
    """Return the gradient of sum(g * result) by x."""
    N, C, H, W = x.shape
    dx = torch.empty_like(x)
    config = tuned("filtered_lrelu_bwd", x, (N * C, H, W), BLOCK=16, num_warps=8)
    block_p = _block((config["BLOCK"] - 1) * options.up + fu.shape[0])
    blocks = {
        "BLOCK_P": block_p,
        "BLOCK_I": _block((block_p + fu.shape[0] - 2) // options.up + 2),
        "BLOCK_O": _block((block_p + fd.shape[0] - 2) // options.down + 2),
    }
    tiles = triton.cdiv(H, config["BLOCK"]) * triton.cdiv(W, config["BLOCK"])
    launch(
        up_kernel, (N * C, tiles), g.contiguous(), x, fu, fd, b, dx, C, H, W, *g.shape[2:],
        options.padding[0], options.padding[2],
        **_constants(x, fu, fd, options), **blocks, **config,
    )  # fmt: skip
    return dx
