# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of gradient_norm.

A batch is a matrix of N rows, the samples, and K columns. One program handles some blocks of one row; a sample of up to
16,384 numbers takes one program, so that its norm takes one kernel.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def inner_kernel(X, Y, PARTIAL, N, K, steps, SAME: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Sum x * y over a part of a sample; with SAME, y is x."""
    n = tl.program_id(0)
    k = tl.program_id(1) * steps * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], ACC)
    for _ in range(steps):
        offsets = n.to(tl.int64) * K + k
        x = tl.load(X + offsets, k < K, other=0.0).to(ACC)
        if SAME:
            total += x * x
        else:
            total += x * tl.load(Y + offsets, k < K, other=0.0).to(ACC)
        k += BLOCK
    tl.store(PARTIAL + tl.program_id(1) * N + n, tl.sum(total))


@triton.jit
def scaled_kernel(G, X, Y, K, ACC: tl.constexpr, BLOCK: tl.constexpr):
    """Compute 2 g x, with one g for each sample."""
    n = tl.program_id(0)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    offsets = n.to(tl.int64) * K + k
    y = 2.0 * tl.load(G + n).to(ACC) * tl.load(X + offsets, k < K, other=0.0).to(ACC)
    tl.store(Y + offsets, y.to(Y.dtype.element_ty), k < K)


def _sizes(x: Tensor) -> tuple[int, int]:
    return x.shape[0], x.shape[1:].numel()


def inner(x: Tensor, y: Tensor | None) -> Tensor:
    """See the operator."""
    N, K = _sizes(x)
    config = tuned("gradient_norm", x, (N, K), BLOCK=4096, num_warps=8)
    steps = min(max(triton.cdiv(K, config["BLOCK"]), 1), 4)
    parts = max(triton.cdiv(K, steps * config["BLOCK"]), 1)
    partial = torch.empty((parts, N), dtype=compute_dtype(x.dtype), device=x.device)
    launch(
        inner_kernel, (N, parts), x, None if y is None else dense_like(y, x), partial, N, K, steps,
        SAME=y is None, ACC=accumulator(x.dtype), **config,
    )  # fmt: skip
    return partial[0] if parts == 1 else partial.sum(0)


def scaled(g: Tensor, x: Tensor) -> Tensor:
    """See the operator."""
    y = torch.empty_like(x)
    N, K = _sizes(x)
    config = tuned("gradient_norm_bwd", x, (N, K), BLOCK=2048, num_warps=4)
    launch(
        scaled_kernel, (N, triton.cdiv(K, config["BLOCK"])), g.contiguous(), x, y, K, ACC=accumulator(x.dtype), **config
    )  # fmt: skip
    return y
