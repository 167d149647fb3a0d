# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of spectral_norm_sigma.

The matrices of all layers are concatenated in one flat tensor, row by row, and so are the vectors u and v. The second
axis of the grid is the layer. LAYERS has five numbers per layer: rows, columns, and the offsets of its matrix, u and v;
they are compile-time constants, so that nothing is copied to the device.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def _layer(LAYERS: tl.constexpr, COUNT: tl.constexpr):
    """Return rows, columns, and the offsets of the matrix, u and v of this program's layer."""
    layer = tl.program_id(1)
    rows = tl.full([], 0, tl.int32)
    columns = tl.full([], 0, tl.int32)
    w = tl.full([], 0, tl.int64)
    u = tl.full([], 0, tl.int32)
    v = tl.full([], 0, tl.int32)
    for i in tl.static_range(COUNT):
        here = layer == i
        rows = tl.where(here, LAYERS[5 * i], rows)
        columns = tl.where(here, LAYERS[5 * i + 1], columns)
        w = tl.where(here, LAYERS[5 * i + 2], w)
        u = tl.where(here, LAYERS[5 * i + 3], u)
        v = tl.where(here, LAYERS[5 * i + 4], v)
    return rows, columns, w, u, v


@triton.jit
def _reciprocal_norm(squares, EPS: tl.constexpr):
    """Return 1 / max(sqrt(sum of squares), EPS)."""
    norm = tl.sqrt(tl.sum(squares))
    return 1.0 / tl.where(norm < EPS, EPS, norm)


@triton.jit
def times_v_kernel(
    W, X, S, LAYERS: tl.constexpr, COUNT: tl.constexpr, NORMALISE: tl.constexpr, EPS: tl.constexpr,
    ACC: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute S = W x / ||x||, or W x without NORMALISE; a program handles some rows."""
    rows, columns, w, u, v = _layer(LAYERS, COUNT)
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    if tl.program_id(0) * BLOCK_R < rows:
        total = tl.zeros([BLOCK_R, BLOCK_C], ACC)
        squares = tl.zeros([BLOCK_C], ACC)
        for start in range(0, columns, BLOCK_C):
            c = start + tl.arange(0, BLOCK_C)
            mask = (r < rows)[:, None] & (c < columns)[None, :]
            x = tl.load(X + v + c, c < columns, other=0.0).to(ACC)
            total += tl.load(W + w + (r[:, None] * columns + c[None, :]), mask, other=0.0).to(ACC) * x[None, :]
            squares += x * x
        s = tl.sum(total, axis=1)
        if NORMALISE:
            s *= _reciprocal_norm(squares, EPS)
        tl.store(S + u + r, s, r < rows)


@triton.jit
def times_u_kernel(
    W, X, T, LAYERS: tl.constexpr, COUNT: tl.constexpr, EPS: tl.constexpr,
    ACC: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute T = W^T x / ||x||; a program handles some columns."""
    rows, columns, w, u, v = _layer(LAYERS, COUNT)
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    if tl.program_id(0) * BLOCK_C < columns:
        total = tl.zeros([BLOCK_R, BLOCK_C], ACC)
        squares = tl.zeros([BLOCK_R], ACC)
        for start in range(0, rows, BLOCK_R):
            r = start + tl.arange(0, BLOCK_R)
            mask = (r < rows)[:, None] & (c < columns)[None, :]
            x = tl.load(X + u + r, r < rows, other=0.0).to(ACC)
            total += tl.load(W + w + (r[:, None] * columns + c[None, :]), mask, other=0.0).to(ACC) * x[:, None]
            squares += x * x
        tl.store(T + v + c, tl.sum(total, axis=0) * _reciprocal_norm(squares, EPS), c < columns)


@triton.jit
def _copy(X, Y, scale, size, ACC: tl.constexpr, BLOCK: tl.constexpr):
    for start in range(0, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        x = tl.load(X + i, i < size, other=0.0).to(ACC) * scale
        tl.store(Y + i, x.to(Y.dtype.element_ty), i < size)


@triton.jit
def _inner(X, Y, size, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Return a block of sums of x * y, still to be added up."""
    total = tl.zeros([BLOCK], ACC)
    for start in range(0, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        x = tl.load(X + i, i < size, other=0.0).to(ACC)
        total += x * tl.load(Y + i, i < size, other=0.0).to(ACC)
    return total


@triton.jit
def finish_kernel(
    S, U, T, SIGMA, NEW_U, NEW_V, LAYERS: tl.constexpr, COUNT: tl.constexpr, ITERATED: tl.constexpr,
    EPS: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute u, v and sigma. ITERATED: u is S and v is T, normalised, with T = W^T u; else U and T, with S = W v."""
    rows, columns, _, u, v = _layer(LAYERS, COUNT)
    if ITERATED:
        squares = _inner(T + v, T + v, columns, ACC, BLOCK)
        scale = _reciprocal_norm(squares, EPS)
        sigma = tl.sum(squares) * scale
        _copy(T + v, NEW_V + v, scale, columns, ACC, BLOCK)
        _copy(S + u, NEW_U + u, _reciprocal_norm(_inner(S + u, S + u, rows, ACC, BLOCK), EPS), rows, ACC, BLOCK)
    else:
        sigma = tl.sum(_inner(S + u, U + u, rows, ACC, BLOCK))
        _copy(U + u, NEW_U + u, 1.0, rows, ACC, BLOCK)
        _copy(T + v, NEW_V + v, 1.0, columns, ACC, BLOCK)
    tl.store(SIGMA + tl.program_id(1), sigma)


@triton.jit
def outer_kernel(
    G, U, V, DW, LAYERS: tl.constexpr, COUNT: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Compute DW = g u v^T for each layer."""
    rows, columns, w, u, v = _layer(LAYERS, COUNT)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if tl.program_id(0) * BLOCK < rows * columns:
        mask = i < rows * columns
        dw = tl.load(G + tl.program_id(1)).to(ACC) * tl.load(U + u + i // columns, mask, other=0.0).to(ACC)
        dw *= tl.load(V + v + i % columns, mask, other=0.0).to(ACC)
        tl.store(DW + w + i, dw.to(DW.dtype.element_ty), mask)


def _layers(sizes: list[int]) -> tuple[int, ...]:
    """Return LAYERS for these rows and columns."""
    numbers, w, u, v = list[int](), 0, 0, 0
    for rows, columns in zip(sizes[::2], sizes[1::2], strict=True):
        numbers += [rows, columns, w, u, v]
        w, u, v = w + rows * columns, u + rows, v + columns
    return tuple(numbers)


def power(
    weights: Tensor, u: Tensor, v: Tensor, sizes: list[int], iterations: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See the operator."""
    count, most_rows, most_columns = len(sizes) // 2, max(sizes[::2]), max(sizes[1::2])
    state = {"dtype": compute_dtype(weights.dtype), "device": weights.device}
    s, t, sigma = torch.empty(u.shape, **state), torch.empty(v.shape, **state), torch.empty(count, **state)
    layers = {"LAYERS": _layers(sizes), "COUNT": count, "EPS": eps, "ACC": accumulator(weights.dtype)}
    shape = (count, most_rows, most_columns)
    by_rows = tuned("spectral_norm_times_v", weights, shape, BLOCK_R=8, BLOCK_C=256, num_warps=4)
    by_columns = tuned("spectral_norm_times_u", weights, shape, BLOCK_R=32, BLOCK_C=64, num_warps=4)
    row_grid = (triton.cdiv(most_rows, by_rows["BLOCK_R"]), count)
    column_grid = (triton.cdiv(most_columns, by_columns["BLOCK_C"]), count)
    launch(times_v_kernel, row_grid, weights, v, s, NORMALISE=False, **layers, **by_rows)
    for iteration in range(iterations):
        if iteration > 0:
            launch(times_v_kernel, row_grid, weights, t, s, NORMALISE=True, **layers, **by_rows)
        launch(times_u_kernel, column_grid, weights, s, t, **layers, **by_columns)
    if iterations == 0:
        t = v
    new_u, new_v = torch.empty_like(u), torch.empty_like(v)
    launch(
        finish_kernel, (1, count), s, u, t, sigma, new_u, new_v,
        ITERATED=iterations > 0, BLOCK=1024, num_warps=4, **layers,
    )  # fmt: skip
    return sigma, new_u, new_v


def outer(g: Tensor, u: Tensor, v: Tensor, sizes: list[int], dtype: torch.dtype) -> Tensor:
    """See the operator."""
    elements = [rows * columns for rows, columns in zip(sizes[::2], sizes[1::2], strict=True)]
    dw = torch.empty(sum(elements), dtype=dtype, device=g.device)
    config = tuned("spectral_norm_outer", dw, (len(elements), max(elements)), BLOCK=2048, num_warps=4)
    grid = (triton.cdiv(max(elements), config["BLOCK"]), len(elements))
    launch(
        outer_kernel, grid, g.contiguous(), u, v, dw,
        LAYERS=_layers(sizes), COUNT=len(elements), ACC=accumulator(dtype), **config,
    )  # fmt: skip
    return dw
