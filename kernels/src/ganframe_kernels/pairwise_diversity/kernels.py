# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of pairwise_diversity.

A batch is a matrix of N rows, the samples, and K columns. One program handles some columns, in chunks of rows. All rows
are taken relative to the first: where the samples are close together, these differences are exact, while the
mean of the raw numbers would be rounded.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like
from ganframe_kernels.pairwise_diversity.reference import factor
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def _chunk(X, start, N, K, ACC: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """Return the rows from start, minus row 0, of this program's columns, their number, and their offsets and mask."""
    n = (start + tl.arange(0, BLOCK_N))[:, None]
    k = (tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K))[None, :]
    mask = (n < N) & (k < K)
    offsets = n.to(tl.int64) * K + k
    x = tl.load(X + offsets, mask, other=0.0).to(ACC) - tl.load(X + k, k < K, other=0.0).to(ACC)
    return tl.where(mask, x, 0.0), tl.minimum(N - start, BLOCK_N).to(ACC), offsets, mask


@triton.jit
def inner_kernel(
    X, Y, PARTIAL, N, K,
    SAME: tl.constexpr, ACC: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Sum the inner products of the program's centred columns; with SAME, y is x."""
    # Chunks are merged by their means and co-moments (Chan, Golub and LeVeque 1983, eq. 1.5): one read, no
    # cancellation.
    mean_x = tl.zeros([BLOCK_K], ACC)
    mean_y = tl.zeros([BLOCK_K], ACC)
    moment = tl.zeros([BLOCK_K], ACC)
    for start in range(0, N, BLOCK_N):
        x, count, _, mask = _chunk(X, start, N, K, ACC, BLOCK_N, BLOCK_K)
        chunk_x = tl.sum(x, axis=0) / count
        x = tl.where(mask, x - chunk_x[None, :], 0.0)
        delta_x = chunk_x - mean_x
        share = count / (start + count)
        if SAME:
            moment += tl.sum(x * x, axis=0) + delta_x * delta_x * (share * start)
        else:
            y, _, _, _ = _chunk(Y, start, N, K, ACC, BLOCK_N, BLOCK_K)
            chunk_y = tl.sum(y, axis=0) / count
            delta_y = chunk_y - mean_y
            moment += tl.sum(x * (y - chunk_y[None, :]), axis=0) + delta_x * delta_y * (share * start)
            mean_y += delta_y * share
        mean_x += delta_x * share
    tl.store(PARTIAL + tl.program_id(0), tl.sum(moment))


@triton.jit
def centred_kernel(
    G, X, Y, N, K, FACTOR: tl.constexpr,
    ONE_CHUNK: tl.constexpr, ACC: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute Y = FACTOR g (x - mean)."""
    g = tl.load(G).to(ACC) * FACTOR
    if ONE_CHUNK:
        x, count, offsets, mask = _chunk(X, 0, N, K, ACC, BLOCK_N, BLOCK_K)
        mean = tl.sum(x, axis=0) / count
        tl.store(Y + offsets, (g * (x - mean[None, :])).to(Y.dtype.element_ty), mask)
    else:
        mean = tl.zeros([BLOCK_K], ACC)
        for start in range(0, N, BLOCK_N):
            x, count, _, _ = _chunk(X, start, N, K, ACC, BLOCK_N, BLOCK_K)
            mean += (tl.sum(x, axis=0) / count - mean) * (count / (start + count))
        for start in range(0, N, BLOCK_N):
            x, _, offsets, mask = _chunk(X, start, N, K, ACC, BLOCK_N, BLOCK_K)
            tl.store(Y + offsets, (g * (x - mean[None, :])).to(Y.dtype.element_ty), mask)


def _sizes(x: Tensor) -> tuple[int, int]:
    return x.shape[0], x.numel() // max(x.shape[0], 1)


def _blocks(op: str, x: Tensor) -> dict[str, int]:
    N, _ = _sizes(x)
    block_n = min(triton.next_power_of_2(max(N, 1)), 64)
    return tuned(op, x, _sizes(x), BLOCK_N=block_n, BLOCK_K=2048 // block_n, num_warps=4)


def inner(x: Tensor, y: Tensor | None, reduction: str) -> Tensor:
    """See the operator."""
    N, K = _sizes(x)
    blocks = _blocks("pairwise_diversity", x)
    grid = (triton.cdiv(K, blocks["BLOCK_K"]) if N else 0,)
    partial = torch.empty(grid, dtype=compute_dtype(x.dtype), device=x.device)
    launch(
        inner_kernel, grid, x, None if y is None else dense_like(y, x), partial, N, K,
        SAME=y is None, ACC=accumulator(x.dtype), **blocks,
    )  # fmt: skip
    return partial.sum() * factor(N, reduction)


def centred(g: Tensor, x: Tensor, reduction: str) -> Tensor:
    """See the operator."""
    y = torch.empty_like(x)
    N, K = _sizes(x)
    blocks = _blocks("pairwise_diversity_bwd", x)
    grid = (triton.cdiv(K, blocks["BLOCK_K"]) if N else 0,)
    launch(
        centred_kernel, grid, g, x, y, N, K,
        FACTOR=2 * factor(N, reduction), ONE_CHUNK=blocks["BLOCK_N"] >= N, ACC=accumulator(x.dtype), **blocks,
    )  # fmt: skip
    return y
