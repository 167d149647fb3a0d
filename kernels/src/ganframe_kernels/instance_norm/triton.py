# pyright: basic
"""Kernels and launchers of instance norm and AdaIN.

A program handles a tile of pixels by channels of one sample; the same kernels serve both layouts. Where whole planes
fit into one tile, one kernel computes the sums over them and uses them. Larger planes are split: a first kernel writes
the sums of each split, and the second adds them up, in a fixed order and so deterministically.

Names: `xhat` is the normalized input, `z = scale * xhat + shift`, `g` the gradient by act(z), which is dy folded back
over its padding, `e = g * act'(z)` the gradient by z, `M` the mean over a plane, and `P(t) = t - M(t) - xhat * M(t *
xhat)`, which is its own adjoint.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.bias_act.triton import activation
from ganframe_kernels.instance_norm.shapes import padded
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like, is_channels_last
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned

# Elements of float32 in the largest tile that holds whole planes: above it, registers spill.
FWD_TILE, BWD_TILE, BWDBWD_TILE = 32768, 16384, 8192
# Elements in a tile of a plane that is split, and the most splits of one.
SPLIT_TILE, MAX_SPLITS = 4096, 32


@triton.jit
def _channels(C, BLOCK_C: tl.constexpr):
    """Sample, channels and their mask, for this program."""
    blocks = tl.cdiv(C, BLOCK_C)
    n = tl.program_id(0) // blocks
    c = (tl.program_id(0) % blocks * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    return n.to(tl.int64), c, c < C


@triton.jit
def _offsets(n, c, p, C, pixels, CHANNELS_LAST: tl.constexpr):
    """Where the pixels p of the channels c are, in a dense tensor; in int64, for more than 2**31 elements."""
    start = n * C * pixels
    return start + (p.to(tl.int64) * C + c if CHANNELS_LAST else c.to(tl.int64) * pixels + p)


@triton.jit
def _affine(A, n, c, c_mask, C, default: tl.constexpr, PER_SAMPLE: tl.constexpr, ACC: tl.constexpr):
    """Scale or shift of the channels."""
    if A is None:
        return tl.full(c.shape, default, ACC)
    else:
        return tl.load(A + n * C + c if PER_SAMPLE else A + c, c_mask, other=0.0).to(ACC)


@triton.jit
def _reflected(i, size):
    """The index inside 0 .. size - 1 that index i shows by reflection about the outermost pixels."""
    last = size - 1
    return last - tl.abs(last - tl.abs(i))


@triton.jit
def _source(q, H, W, PADDING: tl.constexpr):
    """The pixel of the input that the pixel q of the padded result shows."""
    if PADDING == 0:
        return q
    else:
        wide = W + 2 * PADDING
        return _reflected(q // wide - PADDING, H) * W + _reflected(q % wide - PADDING, W)


@triton.jit
def _image(i, size, IMAGE: tl.constexpr, PADDING: tl.constexpr):
    """Where the index i appears in the padded axis, and whether: as itself (0), before the first (1), after the last (2)."""
    if IMAGE == 0:
        return i + PADDING, i >= 0
    elif IMAGE == 1:
        return PADDING - i, (i > 0) & (i <= PADDING)
    else:
        return PADDING + 2 * (size - 1) - i, (i < size - 1) & (i >= size - 1 - PADDING)


@triton.jit
def _folded(DY, n, c, p, mask, C, H, W, PADDING: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr):
    """The gradient g: dy summed over all the places in the padded result that show a pixel."""
    if PADDING == 0:
        return tl.load(DY + _offsets(n, c, p, C, H * W, CHANNELS_LAST), mask, other=0.0).to(ACC)
    else:
        h, w, wide = p // W, p % W, W + 2 * PADDING
        pixels = (H + 2 * PADDING) * wide
        g = tl.zeros(mask.shape, ACC)
        for i in tl.static_range(3):
            row, in_row = _image(h, H, i, PADDING)
            for j in tl.static_range(3):
                column, in_column = _image(w, W, j, PADDING)
                offsets = _offsets(n, c, row * wide + column, C, pixels, CHANNELS_LAST)
                g += tl.load(DY + offsets, mask & in_row & in_column, other=0.0).to(ACC)
        return g


@triton.jit
def _moments(x, mask, count):
    """Mean over the pixels of a tile, and sum of squared deviations from it."""
    mean = tl.sum(x, axis=0)[None, :] / count
    d = tl.where(mask, x - mean, 0.0)
    return mean, tl.sum(d * d, axis=0)[None, :]


@triton.jit
def _write_sum(PARTIAL, index: tl.constexpr, value, n, c, c_mask, C, samples):
    """Store one sum of this split."""
    row = index * tl.num_programs(1) + tl.program_id(1)
    tl.store(PARTIAL + (row.to(tl.int64) * samples + n) * C + c, value, c_mask)


@triton.jit
def _splits(PARTIAL, index: tl.constexpr, n, c, c_mask, C, samples, SPLITS: tl.constexpr):
    """One sum of every split, as rows."""
    split = tl.arange(0, SPLITS)[:, None]
    row = (index * tl.num_programs(1) + split).to(tl.int64)
    return tl.load(PARTIAL + (row * samples + n) * C + c, (split < tl.num_programs(1)) & c_mask, other=0.0)


@triton.jit
def _read_sum(PARTIAL, index: tl.constexpr, n, c, c_mask, C, samples, SPLITS: tl.constexpr):
    """One sum, over all splits."""
    return tl.sum(_splits(PARTIAL, index, n, c, c_mask, C, samples, SPLITS), axis=0)[None, :]


@triton.jit
def stats_kernel(
    X, PARTIAL, samples, C, H, W, tiles,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    start = tl.program_id(1) * tiles * BLOCK_P
    mean = tl.zeros((1, BLOCK_C), ACC)
    squares = tl.zeros((1, BLOCK_C), ACC)
    for tile in range(0, tiles):
        p = (start + tile * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
        mask = (p < pixels) & c_mask
        x = tl.load(X + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
        # Chan et al. 1983: the moments of two sets from those of each.
        before = tile * BLOCK_P
        count = tl.minimum(tl.maximum(pixels - start - before, 0), BLOCK_P)
        total = tl.maximum(before + count, 1).to(ACC)
        added, added_squares = _moments(x, mask, tl.maximum(count, 1).to(ACC))
        change = tl.where(count > 0, added - mean, 0.0)
        mean += change * (count / total)
        squares += added_squares + change * change * (before * (count / total))
    _write_sum(PARTIAL, 0, mean, n, c, c_mask, C, samples)
    _write_sum(PARTIAL, 1, squares, n, c, c_mask, C, samples)


@triton.jit
def fwd_kernel(
    X, SCALE, SHIFT, RESIDUAL, Y, MEAN, RSTD, PARTIAL,
    samples, C, H, W, tiles, tiles_out, residual_n, residual_c, residual_h, residual_w,
    ACT: tl.constexpr, ALPHA: tl.constexpr, EPS: tl.constexpr, PADDING: tl.constexpr, PER_SAMPLE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    pixels_out = (H + 2 * PADDING) * (W + 2 * PADDING)
    scale = _affine(SCALE, n, c, c_mask, C, 1.0, PER_SAMPLE, ACC)
    shift = _affine(SHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    size = pixels.to(ACC)
    if PARTIAL is None:
        p = tl.arange(0, BLOCK_P)[:, None]
        mask = (p < pixels) & c_mask
        whole = tl.load(X + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
        mean, squares = _moments(whole, mask, size)
    else:
        split = tl.arange(0, SPLITS)[:, None] * tiles * BLOCK_P
        count = tl.minimum(tl.maximum(pixels - split, 0), tiles * BLOCK_P)
        means = _splits(PARTIAL, 0, n, c, c_mask, C, samples, SPLITS)
        mean = tl.sum(means * count, axis=0)[None, :] / size
        squares = _read_sum(PARTIAL, 1, n, c, c_mask, C, samples, SPLITS)
        squares += tl.sum((means - mean) * (means - mean) * count, axis=0)[None, :]
    rstd = 1.0 / tl.sqrt(squares / size + EPS)
    if tl.program_id(1) == 0:
        tl.store(MEAN + n * C + c, mean, c_mask)
        tl.store(RSTD + n * C + c, rstd, c_mask)
    for tile in range(0, tiles_out):
        q = ((tl.program_id(1) * tiles_out + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
        mask = (q < pixels_out) & c_mask
        p = _source(q, H, W, PADDING)
        if PARTIAL is None and PADDING == 0:
            x = whole
        else:
            x = tl.load(X + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
        y, _, _ = activation((x - mean) * rstd * scale + shift, ACT, ALPHA)
        if RESIDUAL is not None:
            row, column = (p // W).to(tl.int64), (p % W).to(tl.int64)
            offsets = n * residual_n + c.to(tl.int64) * residual_c + row * residual_h + column * residual_w
            y += tl.load(RESIDUAL + offsets, mask, other=0.0).to(ACC)
        tl.store(Y + _offsets(n, c, q, C, pixels_out, CHANNELS_LAST), y.to(Y.dtype.element_ty), mask)


@triton.jit
def _backward_tile(
    DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W,
    ACT: tl.constexpr, ALPHA: tl.constexpr, PADDING: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The values xhat, g, act'(z) and act''(z) of a tile."""
    x = tl.load(X + _offsets(n, c, p, C, H * W, CHANNELS_LAST), mask, other=0.0).to(ACC)
    xhat = (x - mean) * rstd
    _, slope, curvature = activation(xhat * scale + shift, ACT, ALPHA)
    return xhat, _folded(DY, n, c, p, mask, C, H, W, PADDING, CHANNELS_LAST, ACC), slope, curvature


@triton.jit
def bwd_kernel(
    DY, X, MEAN, RSTD, SCALE, SHIFT, DX, DRESIDUAL, DSCALE, DSHIFT, PARTIAL, samples, C, H, W, tiles,
    WRITE: tl.constexpr, ACT: tl.constexpr, ALPHA: tl.constexpr, PADDING: tl.constexpr, PER_SAMPLE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """With PARTIAL, the first launch only sums up (WRITE is False), and the second only uses the sums."""
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    scale = _affine(SCALE, n, c, c_mask, C, 1.0, PER_SAMPLE, ACC)
    shift = _affine(SHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    mean = tl.load(MEAN + n * C + c, c_mask, other=0.0)
    rstd = tl.load(RSTD + n * C + c, c_mask, other=0.0)
    if PARTIAL is not None and WRITE:
        sum_e = _read_sum(PARTIAL, 0, n, c, c_mask, C, samples, SPLITS)
        sum_ex = _read_sum(PARTIAL, 1, n, c, c_mask, C, samples, SPLITS)
    else:
        sum_e = tl.zeros((1, BLOCK_C), ACC)
        sum_ex = tl.zeros((1, BLOCK_C), ACC)
    for tile in range(0, tiles):
        p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
        mask = (p < pixels) & c_mask
        xhat, g, slope, _ = _backward_tile(
            DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, CHANNELS_LAST, ACC
        )
        e = g * slope
        if PARTIAL is None or not WRITE:
            sum_e += tl.sum(e, axis=0)[None, :]
            sum_ex += tl.sum(e * xhat, axis=0)[None, :]
        if WRITE:
            offsets = _offsets(n, c, p, C, pixels, CHANNELS_LAST)
            dx = scale * rstd * (e - sum_e / pixels - xhat * (sum_ex / pixels))
            tl.store(DX + offsets, dx.to(DX.dtype.element_ty), mask)
            if DRESIDUAL is not None:
                tl.store(DRESIDUAL + offsets, g.to(DRESIDUAL.dtype.element_ty), mask)
    if not WRITE:
        _write_sum(PARTIAL, 0, sum_e, n, c, c_mask, C, samples)
        _write_sum(PARTIAL, 1, sum_ex, n, c, c_mask, C, samples)
    elif tl.program_id(1) == 0:
        if DSCALE is not None:
            tl.store(DSCALE + n * C + c, sum_ex, c_mask)
        if DSHIFT is not None:
            tl.store(DSHIFT + n * C + c, sum_e, c_mask)


@triton.jit
def bwdbwd_kernel(
    V, VSCALE, VSHIFT, VRESIDUAL, DY, X, MEAN, RSTD, SCALE, SHIFT, DDY, DX, DSCALE, DSHIFT, PARTIAL,
    samples, C, H, W, tiles, tiles_out,
    WRITE: tl.constexpr, SMOOTH: tl.constexpr, ACT: tl.constexpr, ALPHA: tl.constexpr, PADDING: tl.constexpr,
    PER_SAMPLE: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """With PARTIAL, the first launch only sums up (WRITE is False), and the second only uses the sums.

    What the double backward differentiates is the sum of e * q + g * vresidual, with q = scale * rstd * P(v) + vscale *
    xhat + vshift. All that it needs are means over the plane: of v, e and k = g * act''(z), and of their products with
    xhat and with each other. Where act is piecewise linear, k is 0.
    """
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    scale = _affine(SCALE, n, c, c_mask, C, 1.0, PER_SAMPLE, ACC)
    shift = _affine(SHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    vscale = _affine(VSCALE, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    vshift = _affine(VSHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    mean = tl.load(MEAN + n * C + c, c_mask, other=0.0)
    rstd = tl.load(RSTD + n * C + c, c_mask, other=0.0)
    zero = tl.zeros((1, BLOCK_C), ACC)
    m_v, m_e, m_vx, m_ex, m_ve = zero, zero, zero, zero, zero
    m_k, m_kx, m_kxx, m_kv, m_kvx = zero, zero, zero, zero, zero
    if PARTIAL is not None and WRITE:
        m_v = _read_sum(PARTIAL, 0, n, c, c_mask, C, samples, SPLITS)
        m_e = _read_sum(PARTIAL, 1, n, c, c_mask, C, samples, SPLITS)
        m_vx = _read_sum(PARTIAL, 2, n, c, c_mask, C, samples, SPLITS)
        m_ex = _read_sum(PARTIAL, 3, n, c, c_mask, C, samples, SPLITS)
        m_ve = _read_sum(PARTIAL, 4, n, c, c_mask, C, samples, SPLITS)
        if SMOOTH:
            m_k = _read_sum(PARTIAL, 5, n, c, c_mask, C, samples, SPLITS)
            m_kx = _read_sum(PARTIAL, 6, n, c, c_mask, C, samples, SPLITS)
            m_kxx = _read_sum(PARTIAL, 7, n, c, c_mask, C, samples, SPLITS)
            m_kv = _read_sum(PARTIAL, 8, n, c, c_mask, C, samples, SPLITS)
            m_kvx = _read_sum(PARTIAL, 9, n, c, c_mask, C, samples, SPLITS)
    else:
        for tile in range(0, tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            v = tl.load(V + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
            xhat, g, slope, curvature = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, CHANNELS_LAST, ACC
            )
            e = g * slope
            m_v += tl.sum(v, axis=0)[None, :]
            m_e += tl.sum(e, axis=0)[None, :]
            m_vx += tl.sum(v * xhat, axis=0)[None, :]
            m_ex += tl.sum(e * xhat, axis=0)[None, :]
            m_ve += tl.sum(v * e, axis=0)[None, :]
            if SMOOTH:
                k = g * curvature
                m_k += tl.sum(k, axis=0)[None, :]
                m_kx += tl.sum(k * xhat, axis=0)[None, :]
                m_kxx += tl.sum(k * xhat * xhat, axis=0)[None, :]
                m_kv += tl.sum(k * v, axis=0)[None, :]
                m_kvx += tl.sum(k * v * xhat, axis=0)[None, :]
    if not WRITE:
        _write_sum(PARTIAL, 0, m_v, n, c, c_mask, C, samples)
        _write_sum(PARTIAL, 1, m_e, n, c, c_mask, C, samples)
        _write_sum(PARTIAL, 2, m_vx, n, c, c_mask, C, samples)
        _write_sum(PARTIAL, 3, m_ex, n, c, c_mask, C, samples)
        _write_sum(PARTIAL, 4, m_ve, n, c, c_mask, C, samples)
        if SMOOTH:
            _write_sum(PARTIAL, 5, m_k, n, c, c_mask, C, samples)
            _write_sum(PARTIAL, 6, m_kx, n, c, c_mask, C, samples)
            _write_sum(PARTIAL, 7, m_kxx, n, c, c_mask, C, samples)
            _write_sum(PARTIAL, 8, m_kv, n, c, c_mask, C, samples)
            _write_sum(PARTIAL, 9, m_kvx, n, c, c_mask, C, samples)
    else:
        m_v, m_e, m_vx, m_ex, m_ve = m_v / pixels, m_e / pixels, m_vx / pixels, m_ex / pixels, m_ve / pixels
        m_v_pe = m_ve - m_v * m_e - m_vx * m_ex
        m_h, m_hx = zero, zero
        if SMOOTH:
            m_k, m_kx, m_kxx, m_kv, m_kvx = m_k / pixels, m_kx / pixels, m_kxx / pixels, m_kv / pixels, m_kvx / pixels
            # The means of h = q * k and of h * xhat.
            m_h = scale * rstd * (m_kv - m_v * m_k - m_vx * m_kx) + vscale * m_kx + vshift * m_k
            m_hx = scale * rstd * (m_kvx - m_v * m_kx - m_vx * m_kxx) + vscale * m_kxx + vshift * m_kx
        if tl.program_id(1) == 0:
            if DSCALE is not None:
                tl.store(DSCALE + n * C + c, pixels * (rstd * m_v_pe + m_hx), c_mask)
            if DSHIFT is not None:
                tl.store(DSHIFT + n * C + c, pixels * m_h, c_mask)
        for tile in range(0, tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            offsets = _offsets(n, c, p, C, pixels, CHANNELS_LAST)
            v = tl.load(V + offsets, mask, other=0.0).to(ACC)
            xhat, g, slope, curvature = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, CHANNELS_LAST, ACC
            )
            p_v = v - m_v - xhat * m_vx
            p_e = g * slope - m_e - xhat * m_ex
            dx = vscale * rstd * p_e - scale * rstd * rstd * (m_ex * p_v + m_vx * p_e + xhat * m_v_pe)
            q = scale * rstd * p_v + vscale * xhat + vshift
            if SMOOTH:
                dx += scale * rstd * (q * g * curvature - m_h - xhat * m_hx)
            tl.store(DX + offsets, dx.to(DX.dtype.element_ty), mask)
            if PADDING == 0:
                ddy = q * slope
                if VRESIDUAL is not None:
                    ddy += tl.load(VRESIDUAL + offsets, mask, other=0.0).to(ACC)
                tl.store(DDY + offsets, ddy.to(DDY.dtype.element_ty), mask)
        if PADDING > 0:
            pixels_out = (H + 2 * PADDING) * (W + 2 * PADDING)
            for tile in range(0, tiles_out):
                o = ((tl.program_id(1) * tiles_out + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
                mask = (o < pixels_out) & c_mask
                offsets = _offsets(n, c, _source(o, H, W, PADDING), C, pixels, CHANNELS_LAST)
                v = tl.load(V + offsets, mask, other=0.0).to(ACC)
                xhat = (tl.load(X + offsets, mask, other=0.0).to(ACC) - mean) * rstd
                _, slope, _ = activation(xhat * scale + shift, ACT, ALPHA)
                ddy = (scale * rstd * (v - m_v - xhat * m_vx) + vscale * xhat + vshift) * slope
                if VRESIDUAL is not None:
                    ddy += tl.load(VRESIDUAL + offsets, mask, other=0.0).to(ACC)
                tl.store(DDY + _offsets(n, c, o, C, pixels_out, CHANNELS_LAST), ddy.to(DDY.dtype.element_ty), mask)


class Plan(NamedTuple):
    """How a dense tensor is cut into tiles."""

    grid: tuple[int, int]
    """Groups of channels, splits of a plane."""
    tiles: int
    """Tiles along the pixels in one split; 1 without splits."""
    tiles_out: int
    """The same along the pixels of the padded result."""
    constants: dict[str, Any]

    @property
    def split(self) -> bool:
        """Whether planes are cut, so that the sums over them take a kernel of their own."""
        return self.grid[1] > 1


def plan(op: str, x: Tensor, padding: int, tile: int) -> Plan:
    """Choose the tiles: whole planes where at least one fits into `tile` elements, splits otherwise."""
    N, C, H, W = x.shape
    pixels, pixels_out = H * W, (H + 2 * padding) * (W + 2 * padding)
    channels_last = is_channels_last(x)
    whole, all_channels = triton.next_power_of_2(pixels), triton.next_power_of_2(max(C, 1))
    tile //= compute_dtype(x.dtype).itemsize // 4
    # Channels that are innermost are read by at least 16 at a time: 32 bytes of bfloat16, the least that memory moves.
    if whole * (min(all_channels, 16) if channels_last else 1) <= tile:
        block_c = min(all_channels, max(tile // whole, 1), 64 if channels_last else max(1024 // whole, 1))
        block_p, splits = whole, 1
    else:
        block_c = min(all_channels, 64) if channels_last else 1
        block_p = max(min(SPLIT_TILE, tile) // block_c, 1)
        splits = min(triton.cdiv(pixels, block_p), MAX_SPLITS)
    warps = min(max(triton.next_power_of_2(block_p * block_c // 1024), 4), 16)
    config = tuned(op, x, (N, C, pixels), BLOCK_P=block_p, BLOCK_C=block_c, splits=splits, num_warps=warps)
    splits = config.pop("splits") if False else config["splits"]
    constants = {name: value for name, value in config.items() if name != "splits"}
    tiles = triton.cdiv(triton.cdiv(pixels, config["BLOCK_P"]), splits)
    splits = triton.cdiv(pixels, tiles * config["BLOCK_P"])
    return Plan(
        grid=(N * triton.cdiv(C, config["BLOCK_C"]), splits),
        tiles=tiles,
        tiles_out=triton.cdiv(triton.cdiv(pixels_out, config["BLOCK_P"]), splits),
        constants={"CHANNELS_LAST": channels_last, "ACC": accumulator(x.dtype), **constants},
    )
