# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of modulated_epilogue.

A program handles BLOCK_C channels of one sample and a run of pixels, as tiles of (channel, pixel) in either layout:
values that depend on the channel are loaded once, and every sum runs over pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.bias_act.kernels import clamped
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like, is_channels_last
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def _place(C, runs, BLOCK_C: tl.constexpr, WIDE: tl.constexpr):
    """Return this program's sample, channels and run of pixels; channels in int64 where a sample has 2**31 elements."""
    # One axis of the grid, because the others are limited to 65535.
    run = tl.program_id(0) % runs
    blocks = tl.cdiv(C, BLOCK_C)
    block = tl.program_id(0) // runs
    c = (block % blocks * BLOCK_C + tl.arange(0, BLOCK_C))[:, None]
    return (block // blocks).to(tl.int64), c.to(tl.int64) if WIDE else c, run


@triton.jit
def _tile(c, p, C, P, CHANNELS_LAST: tl.constexpr):
    """Return the offsets within a sample and the mask of a tile."""
    return p.to(c.dtype) * C + c if CHANNELS_LAST else c * P + p, (c < C) & (p < P)


@triton.jit
def _vector(POINTER, index, mask, ABSENT: tl.constexpr, ACC: tl.constexpr):
    """Return the values of POINTER at the index, or ABSENT where it is None."""
    if POINTER is not None:
        return tl.load(POINTER + index, mask, other=0.0).to(ACC)
    else:
        return tl.full(index.shape, ABSENT, ACC)


@triton.jit
def _noise(NOISE, STRENGTH, n, p, P, NOISE_BATCH: tl.constexpr, ACC: tl.constexpr):
    """Return the noise at these pixels, and its strength."""
    noise = _vector(NOISE, n * P + p if NOISE_BATCH else p, p < P, 0.0, ACC)
    if STRENGTH is not None:
        return noise, tl.load(STRENGTH).to(ACC)
    else:
        return noise, tl.full([], 1.0, ACC)


@triton.jit
def _activated(z, ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr):
    """Return y = clamp(gain * lrelu(z)) and its derivative by z."""
    zero = tl.zeros_like(z)
    slope = tl.where(z > 0, zero + GAIN, zero + GAIN * ALPHA)
    y = z * slope
    if CLAMP is not None:
        # A full tensor, because Triton compares float64 with a number in float32.
        slope = tl.where(tl.abs(y) >= tl.full([1, 1], CLAMP, y.dtype), zero, slope)
    return clamped(y, CLAMP), slope


@triton.jit
def _store_sums(PARTIAL, n, c, run, C, runs, rows, demod, strength, bias, style):
    """Store one row of sums for this run of pixels; the launcher adds the rows, without atomics, deterministically."""
    at = PARTIAL + run.to(tl.int64) * rows + n * C + c
    tl.store(at, demod, c < C)
    tl.store(at + runs * rows, strength, c < C)
    tl.store(at + 2 * runs * rows, bias, c < C)
    tl.store(at + 3 * runs * rows, style, c < C)


@triton.jit
def fwd_kernel(
    X, DEMOD, NOISE, STRENGTH, BIAS, STYLE, OUT, C, P, runs,
    ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr, NOISE_BATCH: tl.constexpr, WIDE: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Compute OUT."""
    n, c, run = _place(C, runs, BLOCK_C, WIDE)
    base = n * C * P
    p = (run * BLOCK_P + tl.arange(0, BLOCK_P))[None, :]
    offsets, mask = _tile(c, p, C, P, CHANNELS_LAST)
    demod = _vector(DEMOD, n * C + c, c < C, 1.0, ACC)
    bias = _vector(BIAS, c, c < C, 0.0, ACC)
    style = _vector(STYLE, n * C + c, c < C, 1.0, ACC)
    noise, strength = _noise(NOISE, STRENGTH, n, p, P, NOISE_BATCH, ACC)
    x = tl.load(X + base + offsets, mask, other=0.0).to(ACC)
    y, _ = _activated(x * demod + strength * noise + bias, ALPHA, GAIN, CLAMP)
    tl.store(OUT + base + offsets, (y * style).to(OUT.dtype.element_ty), mask)


@triton.jit
def bwd_kernel(
    DOUT, X, DEMOD, NOISE, STRENGTH, BIAS, STYLE, DX, PARTIAL, C, P, runs, rows,
    ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr, NOISE_BATCH: tl.constexpr, WIDE: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Compute the gradient by x, and the sums for the others."""
    n, c, run = _place(C, runs, BLOCK_C, WIDE)
    base = n * C * P
    demod = _vector(DEMOD, n * C + c, c < C, 1.0, ACC)
    bias = _vector(BIAS, c, c < C, 0.0, ACC)
    style = _vector(STYLE, n * C + c, c < C, 1.0, ACC)
    sum_x = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_noise = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_1 = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_y = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    for step in range(RUN):
        p = ((run * RUN + step) * BLOCK_P + tl.arange(0, BLOCK_P))[None, :]
        offsets, mask = _tile(c, p, C, P, CHANNELS_LAST)
        noise, strength = _noise(NOISE, STRENGTH, n, p, P, NOISE_BATCH, ACC)
        x = tl.load(X + base + offsets, mask, other=0.0).to(ACC)
        dout = tl.load(DOUT + base + offsets, mask, other=0.0).to(ACC)
        y, slope = _activated(x * demod + strength * noise + bias, ALPHA, GAIN, CLAMP)
        # Without the factor `style`, by which the sums are multiplied at the end.
        dz = dout * slope
        tl.store(DX + base + offsets, (dz * style * demod).to(DX.dtype.element_ty), mask)
        sum_x += dz * x
        sum_noise += dz * noise
        sum_1 += dz
        sum_y += dout * y
    if PARTIAL is not None:
        _store_sums(
            PARTIAL, n, c, run, C, runs, rows,
            style * tl.sum(sum_x, 1)[:, None], style * tl.sum(sum_noise, 1)[:, None],
            style * tl.sum(sum_1, 1)[:, None], tl.sum(sum_y, 1)[:, None],
        )  # fmt: skip


@triton.jit
def bwdbwd_kernel(
    DOUT, X, DEMOD, NOISE, STRENGTH, BIAS, STYLE, V_X, V_DEMOD, V_STRENGTH, V_BIAS, V_STYLE,
    DDOUT, DDX, PARTIAL, C, P, runs, rows,
    ALPHA: tl.constexpr, GAIN: tl.constexpr, CLAMP: tl.constexpr, NOISE_BATCH: tl.constexpr, WIDE: tl.constexpr,
    ACC: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Compute the gradients by dout and x of sum(V * results of `bwd`), and the sums for the others."""
    n, c, run = _place(C, runs, BLOCK_C, WIDE)
    base = n * C * P
    demod = _vector(DEMOD, n * C + c, c < C, 1.0, ACC)
    bias = _vector(BIAS, c, c < C, 0.0, ACC)
    style = _vector(STYLE, n * C + c, c < C, 1.0, ACC)
    v_demod = _vector(V_DEMOD, n * C + c, c < C, 0.0, ACC)
    v_bias = _vector(V_BIAS, c, c < C, 0.0, ACC)
    v_style = _vector(V_STYLE, n * C + c, c < C, 0.0, ACC)
    v_strength = tl.full([], 0.0, ACC)
    if V_STRENGTH is not None:
        v_strength = tl.load(V_STRENGTH).to(ACC)
    sum_v = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_x = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_noise = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    sum_1 = tl.zeros((BLOCK_C, BLOCK_P), ACC)
    for step in range(RUN):
        p = ((run * RUN + step) * BLOCK_P + tl.arange(0, BLOCK_P))[None, :]
        offsets, mask = _tile(c, p, C, P, CHANNELS_LAST)
        noise, strength = _noise(NOISE, STRENGTH, n, p, P, NOISE_BATCH, ACC)
        x = tl.load(X + base + offsets, mask, other=0.0).to(ACC)
        dout = tl.load(DOUT + base + offsets, mask, other=0.0).to(ACC)
        v_x = tl.zeros_like(x)
        if V_X is not None:
            v_x = tl.load(V_X + base + offsets, mask, other=0.0).to(ACC)
        y, slope = _activated(x * demod + strength * noise + bias, ALPHA, GAIN, CLAMP)
        # By dout: the change of the output when x, demod, strength, bias and style change by their v. By the others:
        # the slope is constant between the kinks, so that only the products remain to be differentiated.
        v_z = v_x * demod + v_demod * x + v_strength * noise + v_bias
        tl.store(DDOUT + base + offsets, (style * slope * v_z + v_style * y).to(DDOUT.dtype.element_ty), mask)
        dz = dout * slope
        tl.store(DDX + base + offsets, (dz * (style * v_demod + v_style * demod)).to(DDX.dtype.element_ty), mask)
        sum_v += dz * v_x
        sum_x += dz * x
        sum_noise += dz * noise
        sum_1 += dz
    if PARTIAL is not None:
        by_v = tl.sum(sum_v, 1)[:, None]
        by_x = tl.sum(sum_x, 1)[:, None]
        by_noise = tl.sum(sum_noise, 1)[:, None]
        by_1 = tl.sum(sum_1, 1)[:, None]
        _store_sums(
            PARTIAL, n, c, run, C, runs, rows,
            style * by_v + v_style * by_x, v_style * by_noise, v_style * by_1,
            demod * by_v + v_demod * by_x + v_strength * by_noise + v_bias * by_1,
        )  # fmt: skip


class Tiles(NamedTuple):
    """The tiles into which the programs divide a dense tensor."""

    grid: tuple[int]
    sizes: tuple[int, int, int]
    """C, P (the number of pixels) and the number of runs of pixels."""
    constants: dict[str, Any]


def tiles(op: str, x: Tensor, noise: Tensor | None, size: int, run: int) -> Tiles:
    """Choose tiles of about `size` elements, `run` of them for each program."""
    N, C, P = x.shape[0], x.shape[1], x.shape[2:].numel()
    channels_last = is_channels_last(x)
    # A float64 takes two registers.
    size = size // 2 if x.dtype == torch.float64 else size
    most_c, most_p = (triton.next_power_of_2(max(length, 1)) for length in (C, P))
    if channels_last:
        # 64 channels fill a line of the cache; with more, a tile would have few pixels, and leave many partial sums.
        block_c = min(most_c, 64)
        block_p = min(most_p, size // block_c)
    else:
        block_p = min(most_p, size, 1024)
        block_c = min(most_c, size // block_p)
    config = tuned(
        op, x, (N, C, P), BLOCK_C=block_c, BLOCK_P=block_p, RUN=min(run, triton.cdiv(max(P, 1), block_p)), num_warps=4
    )
    runs = triton.cdiv(P, config["BLOCK_P"] * config["RUN"])
    grid = (N * triton.cdiv(C, config["BLOCK_C"]) * runs,)
    constants = {"ACC": accumulator(x.dtype), "CHANNELS_LAST": channels_last, "WIDE": C * P >= 2**31, **config}
    return Tiles(grid, (C, P, runs), {**constants, "NOISE_BATCH": noise is not None and noise.shape[0] > 1})


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
    """See the operator."""
    out = torch.empty_like(x)
    grid, sizes, constants = tiles("modulated_epilogue", x, noise, 2048, 1)
    del constants["RUN"]
    vectors = _contiguous(demod, noise, strength, bias, next_style)
    launch(fwd_kernel, grid, x, *vectors, out, *sizes, ALPHA=alpha, GAIN=gain, CLAMP=clamp, **constants)
    return out


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
    """See the operator."""
    dx = torch.empty_like(x)
    grid, sizes, constants = tiles("modulated_epilogue_bwd", x, noise, 1024, 16)
    partial = _partial(x, sizes[2], demod, strength, bias, next_style)
    vectors = _contiguous(demod, noise, strength, bias, next_style)
    launch(
        bwd_kernel, grid, dense_like(dout, x), x, *vectors, dx, partial, *sizes, x.shape[0] * x.shape[1],
        ALPHA=alpha, GAIN=gain, CLAMP=clamp, **constants,
    )  # fmt: skip
    return dx, *_totals(x, partial, demod, strength, bias, next_style)


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
    """See the operator."""
    ddout, ddx = torch.empty_like(x), torch.empty_like(x)
    grid, sizes, constants = tiles("modulated_epilogue_bwdbwd", x, noise, 1024, 16)
    partial = _partial(x, sizes[2], demod, strength, bias, next_style)
    vectors = _contiguous(demod, noise, strength, bias, next_style)
    launch(
        bwdbwd_kernel, grid, dense_like(dout, x), x, *vectors, None if v_x is None else dense_like(v_x, x),
        *_contiguous(v_demod, v_strength, v_bias, v_style), ddout, ddx, partial, *sizes, x.shape[0] * x.shape[1],
        ALPHA=alpha, GAIN=gain, CLAMP=clamp, **constants,
    )  # fmt: skip
    return ddout, ddx, *_totals(x, partial, demod, strength, bias, next_style)


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.contiguous() for t in tensors]


def _partial(x: Tensor, runs: int, *vectors: Tensor | None) -> Tensor | None:
    """Return an empty tensor for the sums of every run of pixels: by demod, strength, bias and style."""
    if all(v is None for v in vectors):
        return None
    return torch.empty((4, runs, x.shape[0], x.shape[1]), dtype=compute_dtype(x.dtype), device=x.device)


def _totals(
    x: Tensor,
    partial: Tensor | None,
    demod: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    next_style: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients by demod, strength, bias and style; empty for absent tensors."""
    if partial is None:
        return x.new_empty(0), x.new_empty(0), x.new_empty(0), x.new_empty(0)
    by_demod, by_strength, by_bias, by_style = partial.sum(1)
    # Copies, because an operator may not return views of one tensor.
    return (
        x.new_empty(0) if demod is None else by_demod.to(demod.dtype, copy=True),
        x.new_empty(0) if strength is None else by_strength.sum().to(strength.dtype),
        x.new_empty(0) if bias is None else by_bias.sum(0).to(bias.dtype),
        x.new_empty(0) if next_style is None else by_style.to(next_style.dtype, copy=True),
    )
