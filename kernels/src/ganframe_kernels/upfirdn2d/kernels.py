# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# Triton describes its decorated functions to Python, not to type checkers.
"""The kernel of upfirdn2d, with bias_act at its end, and its launcher.

A program computes BLOCK_P output pixels of one sample for BLOCK_C channels. It visits only the taps that fall on a
pixel of x and not on an inserted zero: one in `up` along each axis, from a phase that depends on the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.bias_act.kernels import activation, clamped
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import is_channels_last
from ganframe_kernels.tuning import tuned


@triton.jit
def _first_tap(o, pad, UP: tl.constexpr, DOWN: tl.constexpr):
    """Return the first tap that falls on a pixel of x, and that pixel's coordinate, for output coordinate o."""
    start = o * DOWN - pad
    phase = (UP - start % UP) % UP  # From 0 to UP - 1, even where the inner remainder is negative, as in C.
    return phase, (start + phase) // UP


@triton.jit
def fwd_kernel(
    X, F, B, Y, channels, height, width, out_height, out_width, left, top,
    xn, xc, xh, xw, yn, yc, yh, yw,
    UP_X: tl.constexpr, UP_Y: tl.constexpr, DOWN_X: tl.constexpr, DOWN_Y: tl.constexpr,
    TAPS_X: tl.constexpr, TAPS_Y: tl.constexpr, FLIP: tl.constexpr, GAIN: tl.constexpr,
    ACT: tl.constexpr, ALPHA: tl.constexpr, ACT_GAIN: tl.constexpr, CLAMP: tl.constexpr,
    ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute Y from X."""
    blocks = tl.cdiv(out_height * out_width, BLOCK_P)
    n = (tl.program_id(0) // blocks).to(tl.int64)
    p = (tl.program_id(0) % blocks * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    c = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    mask = (p < out_height * out_width) & (c < channels)
    out_row, out_column = p // out_width, p % out_width
    tap_y, row = _first_tap(out_row, top, UP_Y, DOWN_Y)
    tap_x, column = _first_tap(out_column, left, UP_X, DOWN_X)
    source = X + n * xn + c.to(tl.int64) * xc + row.to(tl.int64) * xh + column.to(tl.int64) * xw
    z = tl.zeros((BLOCK_P, BLOCK_C), ACC)
    for j in range((TAPS_Y + UP_Y - 1) // UP_Y):
        ky = tap_y + j * UP_Y
        row_mask = (ky < TAPS_Y) & (row + j >= 0) & (row + j < height)
        for i in tl.static_range((TAPS_X + UP_X - 1) // UP_X):
            kx = tap_x + i * UP_X
            inside = row_mask & (kx < TAPS_X) & (column + i >= 0) & (column + i < width)
            tap = ky * TAPS_X + kx if FLIP else (TAPS_Y - 1 - ky) * TAPS_X + TAPS_X - 1 - kx
            weight = tl.load(F + tap, inside, other=0.0).to(ACC)
            z += weight * tl.load(source + (j * xh + i * xw), inside & mask, other=0.0).to(ACC)
    z *= GAIN
    if B is not None:
        z += tl.load(B + c, c < channels, other=0.0).to(ACC)
    y, _, _ = activation(z, ACT, ALPHA)
    target = Y + n * yn + c.to(tl.int64) * yc + out_row.to(tl.int64) * yh + out_column.to(tl.int64) * yw
    tl.store(target, clamped(y * ACT_GAIN, CLAMP).to(Y.dtype.element_ty), mask)


def fwd(
    y: Tensor,
    x: Tensor,
    f: Tensor,
    b: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
    act: str,
    alpha: float,
    act_gain: float,
    clamp: float | None,
) -> Tensor:
    """Write the result to y, which has the layout of x; see the operator."""
    N, C, H, W = x.shape
    height, width = y.shape[2:]
    block_c = min(triton.next_power_of_2(max(C, 1)), 64) if is_channels_last(x) else 1
    config = tuned("upfirdn2d", x, (N, C, height, width), BLOCK_P=512 // block_c, BLOCK_C=block_c, num_warps=4)
    grid = (N * triton.cdiv(height * width, config["BLOCK_P"]), triton.cdiv(C, config["BLOCK_C"]))
    launch(
        fwd_kernel, grid, x, f.contiguous(), b, y, C, H, W, height, width, padding[0], padding[2],
        *x.stride(), *y.stride(),
        UP_X=up[0], UP_Y=up[1], DOWN_X=down[0], DOWN_Y=down[1], TAPS_X=f.shape[1], TAPS_Y=f.shape[0],
        FLIP=flip_filter, GAIN=gain, ACT=act, ALPHA=alpha, ACT_GAIN=act_gain, CLAMP=clamp,
        ACC=accumulator(x.dtype), **config,
    )  # fmt: skip
    return y
