# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of patch_loss.

The score maps are flat in memory, all in the same order, sample after sample. One program handles some blocks; a score
map of usual size takes one program, so that its mean takes one kernel. Offsets are int32: 64-bit division by the size
of a sample is slow, and spills.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned


@triton.jit
def _softplus(c):
    """Return softplus(c) and its first two derivatives; nothing overflows, and small values stay exact."""
    e = tl.exp(-tl.abs(c))
    u = 1.0 + e
    # log(1 + e) from the rounded sum, corrected for its rounding (Higham 2002, section 1.14.1).
    tiny = u == 1.0
    log1p = tl.where(tiny, e, tl.log(u) * (e / tl.where(tiny, 1.0, u - 1.0)))
    return tl.where(c < 0, 0.0, c) + log1p, tl.where(c < 0, e, 1.0) / u, e / (u * u)


@triton.jit
def _real_loss(c, KIND: tl.constexpr):
    """Return the loss of c as real, and its first two derivatives."""
    zero = tl.zeros_like(c)
    if KIND == "bce" or KIND == "relativistic":
        cost, slope, curvature = _softplus(-c)
        return cost, -slope, curvature
    elif KIND == "minimax_generator":
        cost, slope, curvature = _softplus(c)
        return -cost, -slope, -curvature
    elif KIND == "hinge":
        rest = 1.0 - c
        # max(rest, 0) would turn nan into 0, and nan must reach the loss.
        return tl.where(rest < 0, zero, rest), tl.where(rest > 0, zero - 1.0, zero), zero
    elif KIND == "least_squares":
        return (c - 1.0) * (c - 1.0) * 0.5, c - 1.0, zero + 1.0
    else:
        tl.static_assert(KIND == "wasserstein" or KIND == "hinge_generator")
        return -c, zero - 1.0, zero


@triton.jit
def _fake_loss(c, KIND: tl.constexpr):
    """Return the loss of c as fake, and its first two derivatives."""
    if KIND == "least_squares":
        return c * c * 0.5, c, tl.zeros_like(c) + 1.0
    else:
        cost, slope, curvature = _real_loss(-c, KIND)
        return cost, -slope, curvature


@triton.jit
def _cost(
    X, OTHER, TARGET, i, mask, per_sample, REAL: tl.constexpr, KIND: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Return the losses of the logits at the offsets i, and their first two derivatives."""
    c = tl.load(X + i, mask, other=0.0).to(ACC)
    if OTHER is not None:
        c -= tl.load(OTHER + i, mask, other=0.0).to(ACC)
    if TARGET is not None:
        t = tl.load(TARGET + i // per_sample, mask, other=0.0).to(ACC)
        cost, slope, curvature = _real_loss(c, KIND)
        cost0, slope0, curvature0 = _fake_loss(c, KIND)
        s = 1.0 - t
        return t * cost + s * cost0, t * slope + s * slope0, t * curvature + s * curvature0
    elif REAL:
        return _real_loss(c, KIND)
    else:
        return _fake_loss(c, KIND)


@triton.jit
def fwd_kernel(
    X, OTHER, TARGET, Y, numel, per_sample, steps,
    REAL: tl.constexpr, KIND: tl.constexpr, REDUCTION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute Y from the scores."""
    total = tl.zeros([BLOCK], ACC)
    i = tl.program_id(0) * steps * BLOCK + tl.arange(0, BLOCK)
    for _ in range(steps):
        mask = i < numel
        cost, _, _ = _cost(X, OTHER, TARGET, i, mask, per_sample, REAL, KIND, ACC)
        if REDUCTION == "none":
            tl.store(Y + i, cost, mask)
        else:
            total += tl.where(mask, cost, 0.0)
        i += BLOCK
    if REDUCTION != "none":
        loss = tl.sum(total)
        tl.store(Y + tl.program_id(0), loss / numel if REDUCTION == "mean" else loss)


@triton.jit
def bwd_kernel(
    G, X, OTHER, TARGET, DX, DOTHER, numel, per_sample,
    REAL: tl.constexpr, KIND: tl.constexpr, REDUCTION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute DX and DOTHER from G and the scores."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < numel
    _, slope, _ = _cost(X, OTHER, TARGET, i, mask, per_sample, REAL, KIND, ACC)
    if REDUCTION == "none":
        g = tl.load(G + i, mask, other=0.0).to(ACC)
    else:
        g = tl.load(G).to(ACC)
    if REDUCTION == "mean":
        g = g / numel
    tl.store(DX + i, (g * slope).to(DX.dtype.element_ty), mask)
    if DOTHER is not None:
        tl.store(DOTHER + i, (-g * slope).to(DOTHER.dtype.element_ty), mask)


@triton.jit
def bwdbwd_kernel(
    V, G, X, OTHER, TARGET, DG, DX, numel, per_sample, steps,
    REAL: tl.constexpr, KIND: tl.constexpr, REDUCTION: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute DG and DX from V, G and the scores."""
    total = tl.zeros([BLOCK], ACC)
    i = tl.program_id(0) * steps * BLOCK + tl.arange(0, BLOCK)
    for _ in range(steps):
        mask = i < numel
        _, slope, curvature = _cost(X, OTHER, TARGET, i, mask, per_sample, REAL, KIND, ACC)
        v = tl.load(V + i, mask, other=0.0).to(ACC)
        if REDUCTION == "mean":
            v = v / numel
        if REDUCTION == "none":
            g = tl.load(G + i, mask, other=0.0).to(ACC)
            tl.store(DG + i, v * slope, mask)
        else:
            g = tl.load(G).to(ACC)
            total += tl.where(mask, v * slope, 0.0)
        tl.store(DX + i, (v * g * curvature).to(DX.dtype.element_ty), mask)
        i += BLOCK
    if REDUCTION != "none":
        tl.store(DG + tl.program_id(0), tl.sum(total))


def _constants(op: str, x: Tensor, real: bool, kind: str, reduction: str) -> dict[str, Any]:
    config = tuned(op, x, (x.numel(),), BLOCK=1024, num_warps=4)
    return {"REAL": real, "KIND": kind, "REDUCTION": reduction, "ACC": accumulator(x.dtype), **config}


def _sizes(x: Tensor) -> tuple[int, int]:
    """Return the number of elements in total and per sample."""
    return x.numel(), x.numel() // max(x.shape[0], 1)


def _reduced(x: Tensor, reduction: str, block: int) -> tuple[Tensor, int]:
    """Return the tensor that the programs write to, one number each if they reduce, and the blocks of a program."""
    steps = 1 if reduction == "none" else min(triton.cdiv(x.numel(), block), 16)
    programs = triton.cdiv(x.numel(), steps * block) if steps else 0
    dtype = compute_dtype(x.dtype)
    if reduction == "none":
        return torch.empty_like(x, dtype=dtype), steps
    return torch.empty(programs, dtype=dtype, device=x.device), steps


def _total(partial: Tensor) -> Tensor:
    """Sum over the programs, in their order, so that the result is deterministic."""
    return partial[0] if len(partial) == 1 else partial.sum()


def _dense_other(other: Tensor | None, x: Tensor) -> Tensor | None:
    return None if other is None else dense_like(other, x)


def fwd(logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str) -> Tensor:
    """See the operator."""
    if not logits.numel() and reduction == "mean":
        return torch.full((), torch.nan, dtype=compute_dtype(logits.dtype), device=logits.device)
    constants = _constants("patch_loss", logits, real, kind, reduction)
    y, steps = _reduced(logits, reduction, constants["BLOCK"])
    grid = (triton.cdiv(logits.numel(), max(steps, 1) * constants["BLOCK"]),)
    launch(
        fwd_kernel, grid, logits, _dense_other(other, logits), target, y, *_sizes(logits), steps, **constants
    )  # fmt: skip
    return y if reduction == "none" else _total(y)


def bwd(
    g: Tensor, logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> tuple[Tensor, Tensor]:
    """See the operator."""
    constants = _constants("patch_loss_bwd", logits, real, kind, reduction)
    dx = torch.empty_like(logits)
    other = _dense_other(other, logits)
    dother = None if other is None else torch.empty_like(other)
    launch(
        bwd_kernel, (triton.cdiv(logits.numel(), constants["BLOCK"]),),
        dense_like(g, logits) if reduction == "none" else g, logits, other, target, dx, dother, *_sizes(logits),
        **constants,
    )  # fmt: skip
    return dx, dx.new_empty(0) if dother is None else dother


def bwdbwd(
    v: Tensor,
    g: Tensor,
    logits: Tensor,
    other: Tensor | None,
    target: Tensor | None,
    real: bool,
    kind: str,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    """See the operator."""
    constants = _constants("patch_loss_bwdbwd", logits, real, kind, reduction)
    dg, steps = _reduced(logits, reduction, constants["BLOCK"])
    dx = torch.empty_like(logits)
    grid = (triton.cdiv(logits.numel(), max(steps, 1) * constants["BLOCK"]),)
    launch(
        bwdbwd_kernel, grid, dense_like(v, logits), dense_like(g, logits) if reduction == "none" else g, logits,
        _dense_other(other, logits), target, dg, dx, *_sizes(logits), steps, **constants,
    )  # fmt: skip
    return dg if reduction == "none" else _total(dg), dx
