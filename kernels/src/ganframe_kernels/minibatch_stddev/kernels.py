# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false, reportCallIssue=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of minibatch_stddev.

One program handles one group of samples and one share of the channels, block by block, with all samples of the group in
each block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like, is_channels_last
from ganframe_kernels.tuning import tuned


@triton.jit
def _offsets(n, channel, pixel, channels, HW, CHANNELS_LAST: tl.constexpr):
    inner = pixel * channels + channel if CHANNELS_LAST else channel * HW + pixel
    return n.to(tl.int64)[:, None] * (channels * HW) + inner[None, :]


@triton.jit
def _samples(groups, G, BLOCK_G: tl.constexpr):
    """Return the samples of this program's group, and the mask of those that exist."""
    g = tl.arange(0, BLOCK_G)
    return g * groups + tl.program_id(0), (g < G)[:, None]


@triton.jit
def _block(
    X, start, groups, G, C, HW, SHARES, share,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return a block of x: its values, centred values, deviations, offsets in x and y, and mask."""
    n, of_group = _samples(groups, G, BLOCK_G)
    e = start + tl.arange(0, BLOCK)
    channel = tl.program_id(1) * share + (e % share if CHANNELS_LAST else e // HW)
    pixel = e // share if CHANNELS_LAST else e % HW
    mask = of_group & (e < share * HW)[None, :]
    offsets = _offsets(n, channel, pixel, C, HW, CHANNELS_LAST)
    x = tl.load(X + offsets, mask, other=0.0).to(ACC)
    centred = tl.where(mask, x - (tl.sum(x, axis=0) / G)[None, :], 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, axis=0) / G + 1e-8)
    return x, centred, deviation, offsets, _offsets(n, channel, pixel, C + SHARES, HW, CHANNELS_LAST), mask


@triton.jit
def _slots(
    start, groups, G, C, HW, SHARES, CHANNELS_LAST: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Return offsets and mask of the pixels from start, in the channel that holds this program's result."""
    n, of_group = _samples(groups, G, BLOCK_G)
    pixel = start + tl.arange(0, BLOCK)
    offsets = _offsets(n, C + tl.program_id(1), pixel, C + SHARES, HW, CHANNELS_LAST)
    return offsets, of_group & (pixel < HW)[None, :]


@triton.jit
def _fill(
    Y, value, groups, G, C, HW, SHARES, CHANNELS_LAST: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    for start in range(0, HW, BLOCK):
        offsets, mask = _slots(start, groups, G, C, HW, SHARES, CHANNELS_LAST, BLOCK_G, BLOCK)
        tl.store(Y + offsets, tl.zeros([BLOCK_G, BLOCK], Y.dtype.element_ty) + value.to(Y.dtype.element_ty), mask)


@triton.jit
def _gather(
    DY, groups, G, C, HW, SHARES,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sum dy over the channel that holds this program's result."""
    total = tl.zeros([BLOCK_G, BLOCK], ACC)
    for start in range(0, HW, BLOCK):
        offsets, mask = _slots(start, groups, G, C, HW, SHARES, CHANNELS_LAST, BLOCK_G, BLOCK)
        total += tl.load(DY + offsets, mask, other=0.0).to(ACC)
    return tl.sum(total)


@triton.jit
def fwd_kernel(
    X, Y, groups, G, C, HW, SHARES, share,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute Y from X."""
    total = tl.zeros([BLOCK], ACC)
    for start in range(0, share * HW, BLOCK):
        x, _, deviation, _, offsets, mask = _block(
            X, start, groups, G, C, HW, SHARES, share, CHANNELS_LAST, ACC, BLOCK_G, BLOCK
        )
        tl.store(Y + offsets, x.to(Y.dtype.element_ty), mask)
        total += tl.where(start + tl.arange(0, BLOCK) < share * HW, deviation, 0.0)
    _fill(Y, tl.sum(total) / (share * HW), groups, G, C, HW, SHARES, CHANNELS_LAST, BLOCK_G, BLOCK)


@triton.jit
def bwd_kernel(
    DY, X, DX, groups, G, C, HW, SHARES, share,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute DX from DY and X."""
    a = _gather(DY, groups, G, C, HW, SHARES, CHANNELS_LAST, ACC, BLOCK_G, BLOCK) / (G * share * HW)
    for start in range(0, share * HW, BLOCK):
        _, centred, deviation, offsets, offsets_y, mask = _block(
            X, start, groups, G, C, HW, SHARES, share, CHANNELS_LAST, ACC, BLOCK_G, BLOCK
        )
        dx = tl.load(DY + offsets_y, mask, other=0.0).to(ACC) + centred * (a / deviation)[None, :]
        tl.store(DX + offsets, dx.to(DX.dtype.element_ty), mask)


@triton.jit
def bwdbwd_kernel(
    V, DY, X, DDY, DDX, groups, G, C, HW, SHARES, share,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute DDY and DDX from V, DY and X."""
    # With z = centred / deviation and M the mean over the group: dx = dy + a z, and
    # d_x sum(v a z) = a / deviation (v - M(v) - z M(v z)).
    a = _gather(DY, groups, G, C, HW, SHARES, CHANNELS_LAST, ACC, BLOCK_G, BLOCK) / (G * share * HW)
    total = tl.zeros([BLOCK], ACC)
    for start in range(0, share * HW, BLOCK):
        _, centred, deviation, offsets, offsets_y, mask = _block(
            X, start, groups, G, C, HW, SHARES, share, CHANNELS_LAST, ACC, BLOCK_G, BLOCK
        )
        v = tl.load(V + offsets, mask, other=0.0).to(ACC)
        tl.store(DDY + offsets_y, v.to(DDY.dtype.element_ty), mask)
        z = centred / deviation[None, :]
        mean_v = tl.sum(v, axis=0) / G
        mean_vz = tl.sum(v * z, axis=0) / G
        total += mean_vz
        ddx = (v - mean_v[None, :] - z * mean_vz[None, :]) * (a / deviation)[None, :]
        tl.store(DDX + offsets, ddx.to(DDX.dtype.element_ty), mask)
    _fill(DDY, tl.sum(total) / (share * HW), groups, G, C, HW, SHARES, CHANNELS_LAST, BLOCK_G, BLOCK)


class Plan(NamedTuple):
    """The launch of a kernel on x."""

    grid: tuple[int, int]
    sizes: tuple[int, int, int, int, int, int]
    """Groups, samples of a group, channels, pixels, shares of the channels, channels of a share."""
    constants: dict[str, Any]


def _plan(op: str, x: Tensor, group: int, channels: int) -> Plan:
    N, C, H, W = x.shape
    block_g = triton.next_power_of_2(group)
    config = tuned(op, x, (group, C // channels * H * W), BLOCK=max(1024 // block_g, 16), num_warps=4)
    constants = {"CHANNELS_LAST": is_channels_last(x), "ACC": accumulator(x.dtype), "BLOCK_G": block_g, **config}
    return Plan((N // group, channels), (N // group, group, C, H * W, channels, C // channels), constants)


def _empty_result(x: Tensor, channels: int) -> Tensor:
    N, C, H, W = x.shape
    memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.empty((N, C + channels, H, W), dtype=x.dtype, device=x.device, memory_format=memory_format)


def fwd(x: Tensor, group: int, channels: int) -> Tensor:
    """See the operator."""
    y = _empty_result(x, channels)
    grid, sizes, constants = _plan("minibatch_stddev", x, group, channels)
    launch(fwd_kernel, grid, x, y, *sizes, **constants)
    return y


def bwd(dy: Tensor, x: Tensor, group: int, channels: int) -> Tensor:
    """See the operator."""
    dx = torch.empty_like(x)
    grid, sizes, constants = _plan("minibatch_stddev_bwd", x, group, channels)
    launch(bwd_kernel, grid, dense_like(dy, x), x, dx, *sizes, **constants)
    return dx


def bwdbwd(v: Tensor, dy: Tensor, x: Tensor, group: int, channels: int) -> tuple[Tensor, Tensor]:
    """See the operator."""
    ddy, ddx = _empty_result(x, channels), torch.empty_like(x)
    grid, sizes, constants = _plan("minibatch_stddev_bwdbwd", x, group, channels)
    launch(bwdbwd_kernel, grid, dense_like(v, x), dense_like(dy, x), x, ddy, ddx, *sizes, **constants)
    return ddy, ddx
