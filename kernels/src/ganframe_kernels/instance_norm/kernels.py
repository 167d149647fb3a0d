# pyright: basic, reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# Triton describes its decorated functions to Python, not to type checkers.
"""Kernels and launchers of instance norm and AdaIN.

A program handles a tile of pixels by channels of one sample; the same kernels serve both layouts. Where whole planes
fit into one tile, one kernel computes the sums over them and uses them. Larger planes are split: a first kernel writes
the sums of each split, and the second adds them up, in a fixed order and therefore deterministically.

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

from ganframe_kernels.bias_act.kernels import activation
from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.instance_norm.shapes import padded, statistics
from ganframe_kernels.launch import accumulator, launch
from ganframe_kernels.layout import dense_like, is_channels_last
from ganframe_kernels.precision import compute_dtype
from ganframe_kernels.tuning import tuned

# Float32 elements of the largest tile of whole planes that fits into registers, forward and backward. With innermost
# channels it is half of that: their offsets need registers too.
FWD_PLANE, BWD_PLANE = 32768, 16384
# Elements of a tile where a program loops over several of them, and where it folds dy, by four loads per pixel.
TILE, FOLD_TILE = 2048, 512
# Largest number of splits of a larger plane; every program of the second kernel reads all their sums.
MAX_SPLITS = 32


@triton.jit
def _channels(C, BLOCK_C: tl.constexpr):
    """Return this program's sample, channels and their mask."""
    blocks = tl.cdiv(C, BLOCK_C)
    n = tl.program_id(0) // blocks
    c = (tl.program_id(0) % blocks * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    return n.to(tl.int64), c, c < C


@triton.jit
def _offsets(n, c, p, C, pixels, CHANNELS_LAST: tl.constexpr):
    """Return the offsets of pixels p of channels c in a dense tensor; in int64, for more than 2**31 elements."""
    start = n * C * pixels
    return start + (p.to(tl.int64) * C + c if CHANNELS_LAST else c.to(tl.int64) * pixels + p)


@triton.jit
def _affine(A, n, c, c_mask, C, default: tl.constexpr, PER_SAMPLE: tl.constexpr, ACC: tl.constexpr):
    """Return the scale or shift of the channels."""
    if A is None:
        return tl.full(c.shape, default, ACC)
    else:
        return tl.load(A + n * C + c if PER_SAMPLE else A + c, c_mask, other=0.0).to(ACC)


@triton.jit
def _reflected(i, size):
    """Return the index in 0 .. size - 1 that i maps to by reflection about the outermost pixels."""
    last = size - 1
    return last - tl.abs(last - tl.abs(i))


@triton.jit
def _source(q, H, W, PADDING: tl.constexpr):
    """Return the input pixel that the pixel q of the padded result shows."""
    if PADDING == 0:
        return q
    else:
        wide = W + 2 * PADDING
        return _reflected(q // wide - PADDING, H) * W + _reflected(q % wide - PADDING, W)


@triton.jit
def _image(i, size, IMAGE: tl.constexpr, PADDING: tl.constexpr):
    """Return the place of i in the padded axis, and whether it exists: itself (IMAGE 0), reflected (1), again (2)."""
    before = (i > 0) & (i <= PADDING)
    after = (i < size - 1) & (i >= size - 1 - PADDING)
    end = PADDING + 2 * (size - 1) - i
    if IMAGE == 0:
        return i + PADDING, i >= 0
    elif IMAGE == 1:
        return tl.where(before, PADDING - i, end), before | after
    else:
        return end, before & after


@triton.jit
def _folded(
    DY, n, c, p, mask, C, H, W,
    PADDING: tl.constexpr, IMAGES: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Return the gradient g: dy summed over all places in the padded result that show a pixel."""
    if PADDING == 0:
        return tl.load(DY + _offsets(n, c, p, C, H * W, CHANNELS_LAST), mask, other=0.0).to(ACC)
    else:
        h, w, wide = p // W, p % W, W + 2 * PADDING
        pixels = (H + 2 * PADDING) * wide
        g = tl.zeros(mask.shape, ACC)
        for i in tl.static_range(IMAGES):
            row, in_row = _image(h, H, i, PADDING)
            for j in tl.static_range(IMAGES):
                column, in_column = _image(w, W, j, PADDING)
                offsets = _offsets(n, c, row * wide + column, C, pixels, CHANNELS_LAST)
                g += tl.load(DY + offsets, mask & in_row & in_column, other=0.0).to(ACC)
        return g


@triton.jit
def _moments(x, mask, count):
    """Return the mean over the pixels of a tile, and the sum of squared deviations from it."""
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
    """Return one sum of every split, as rows."""
    split = tl.arange(0, SPLITS)[:, None]
    row = (index * tl.num_programs(1) + split).to(tl.int64)
    return tl.load(PARTIAL + (row * samples + n) * C + c, (split < tl.num_programs(1)) & c_mask, other=0.0)


@triton.jit
def _read_sum(PARTIAL, index: tl.constexpr, n, c, c_mask, C, samples, SPLITS: tl.constexpr):
    """Return one sum, over all splits."""
    return tl.sum(_splits(PARTIAL, index, n, c, c_mask, C, samples, SPLITS), axis=0)[None, :]


@triton.jit
def stats_kernel(
    X, PARTIAL, samples, C, H, W, tiles,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute the mean of each split, and the sum of squared deviations from it."""
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    start = tl.program_id(1) * tiles * BLOCK_P
    mean = tl.zeros((1, BLOCK_C), ACC)
    squares = tl.zeros((1, BLOCK_C), ACC)
    for tile in range(tiles):
        p = (start + tile * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
        mask = (p < pixels) & c_mask
        x = tl.load(X + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
        # Chan et al. 1983: the moments of two sets from those of each.
        before = tile * BLOCK_P
        count = tl.minimum(tl.maximum(pixels - start - before, 0), BLOCK_P)
        added, added_squares = _moments(x, mask, tl.maximum(count, 1))
        change = added - mean
        step = change * count / tl.maximum(before + count, 1)
        mean += step
        squares += added_squares + change * step * before
    _write_sum(PARTIAL, 0, mean, n, c, c_mask, C, samples)
    _write_sum(PARTIAL, 1, squares, n, c, c_mask, C, samples)


@triton.jit
def fwd_kernel(
    X, SCALE, SHIFT, RESIDUAL, Y, MEAN, RSTD, PARTIAL,
    samples, C, H, W, chunk, tiles_out, residual_n, residual_c, residual_h, residual_w,
    ACT: tl.constexpr, ALPHA: tl.constexpr, EPS: tl.constexpr, PADDING: tl.constexpr, PER_SAMPLE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_OUT: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Compute Y, MEAN and RSTD; with PARTIAL, from the statistics that `stats_kernel` found per `chunk` pixels."""
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    pixels_out = (H + 2 * PADDING) * (W + 2 * PADDING)
    scale = _affine(SCALE, n, c, c_mask, C, 1.0, PER_SAMPLE, ACC)
    shift = _affine(SHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    if PARTIAL is None:
        p = tl.arange(0, BLOCK_P)[:, None]
        mask = (p < pixels) & c_mask
        whole = tl.load(X + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
        mean, squares = _moments(whole, mask, pixels)
    else:
        count = tl.minimum(tl.maximum(pixels - tl.arange(0, SPLITS)[:, None] * chunk, 0), chunk)
        means = _splits(PARTIAL, 0, n, c, c_mask, C, samples, SPLITS)
        mean = tl.sum(means * count, axis=0)[None, :] / pixels
        squares = _read_sum(PARTIAL, 1, n, c, c_mask, C, samples, SPLITS)
        squares += tl.sum((means - mean) * (means - mean) * count, axis=0)[None, :]
    rstd = 1.0 / tl.sqrt(squares / pixels + EPS)
    if tl.program_id(1) == 0:
        tl.store(MEAN + n * C + c, mean, c_mask)
        tl.store(RSTD + n * C + c, rstd, c_mask)
    for tile in range(tiles_out):
        q = ((tl.program_id(1) * tiles_out + tile) * BLOCK_OUT + tl.arange(0, BLOCK_OUT))[:, None]
        q_mask = (q < pixels_out) & c_mask
        source = _source(q, H, W, PADDING)
        if PARTIAL is None and PADDING == 0:
            x = whole
        else:
            x = tl.load(X + _offsets(n, c, source, C, pixels, CHANNELS_LAST), q_mask, other=0.0).to(ACC)
        y, _, _ = activation((x - mean) * rstd * scale + shift, ACT, ALPHA)
        if RESIDUAL is not None:
            row, column = (source // W).to(tl.int64), (source % W).to(tl.int64)
            offsets = n * residual_n + c.to(tl.int64) * residual_c + row * residual_h + column * residual_w
            y += tl.load(RESIDUAL + offsets, q_mask, other=0.0).to(ACC)
        tl.store(Y + _offsets(n, c, q, C, pixels_out, CHANNELS_LAST), y.to(Y.dtype.element_ty), q_mask)


@triton.jit
def _backward_tile(
    DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W,
    ACT: tl.constexpr, ALPHA: tl.constexpr,
    PADDING: tl.constexpr, IMAGES: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Return xhat, g, act'(z) and act''(z) of a tile."""
    x = tl.load(X + _offsets(n, c, p, C, H * W, CHANNELS_LAST), mask, other=0.0).to(ACC)
    xhat = (x - mean) * rstd
    _, slope, curvature = activation(xhat * scale + shift, ACT, ALPHA)
    g = _folded(DY, n, c, p, mask, C, H, W, PADDING, IMAGES, CHANNELS_LAST, ACC)
    return xhat, g, slope, curvature


@triton.jit
def bwd_kernel(
    DY, X, MEAN, RSTD, SCALE, SHIFT, DX, DRESIDUAL, DSCALE, DSHIFT, PARTIAL, samples, C, H, W, tiles,
    WRITE: tl.constexpr, HELD: tl.constexpr, ACT: tl.constexpr, ALPHA: tl.constexpr, PADDING: tl.constexpr,
    IMAGES: tl.constexpr, PER_SAMPLE: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Compute the gradients; with PARTIAL, one launch computes the sums (WRITE is False), and a second uses them.

    HELD: the tile is the whole plane, and is read once.
    """
    n, c, c_mask = _channels(C, BLOCK_C)
    pixels = H * W
    scale = _affine(SCALE, n, c, c_mask, C, 1.0, PER_SAMPLE, ACC)
    shift = _affine(SHIFT, n, c, c_mask, C, 0.0, PER_SAMPLE, ACC)
    mean = tl.load(MEAN + n * C + c, c_mask, other=0.0)
    rstd = tl.load(RSTD + n * C + c, c_mask, other=0.0)
    sum_e = tl.zeros((1, BLOCK_C), ACC)
    sum_ex = tl.zeros((1, BLOCK_C), ACC)
    if PARTIAL is not None and WRITE:
        sum_e = _read_sum(PARTIAL, 0, n, c, c_mask, C, samples, SPLITS)
        sum_ex = _read_sum(PARTIAL, 1, n, c, c_mask, C, samples, SPLITS)
    elif not HELD:
        for tile in range(tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            xhat, g, slope, _ = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, IMAGES, CHANNELS_LAST, ACC
            )
            sum_e += tl.sum(g * slope, axis=0)[None, :]
            sum_ex += tl.sum(g * slope * xhat, axis=0)[None, :]
    if WRITE:
        for tile in range(tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            xhat, g, slope, _ = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, IMAGES, CHANNELS_LAST, ACC
            )
            offsets = _offsets(n, c, p, C, pixels, CHANNELS_LAST)
            if DRESIDUAL is not None:
                tl.store(DRESIDUAL + offsets, g.to(DRESIDUAL.dtype.element_ty), mask)
            e = g * slope
            if HELD:
                sum_e = tl.sum(e, axis=0)[None, :]
                sum_ex = tl.sum(e * xhat, axis=0)[None, :]
            dx = scale * rstd * (e - sum_e / pixels - xhat * (sum_ex / pixels))
            tl.store(DX + offsets, dx.to(DX.dtype.element_ty), mask)
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
    IMAGES: tl.constexpr, PER_SAMPLE: tl.constexpr, CHANNELS_LAST: tl.constexpr, ACC: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Compute second gradients; with PARTIAL, one launch computes the sums (WRITE is False), and a second uses them.

    The double backward differentiates the sum of e * q + g * vresidual, with q = scale * rstd * P(v) + vscale * xhat +
    vshift. It needs only means over the plane: of v, e and k = g * act''(z), and of their products with xhat and with
    each other. Where act is piecewise linear, k is 0.
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
        for tile in range(tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            v = tl.load(V + _offsets(n, c, p, C, pixels, CHANNELS_LAST), mask, other=0.0).to(ACC)
            xhat, g, slope, curvature = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, IMAGES, CHANNELS_LAST, ACC
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
        for tile in range(tiles):
            p = ((tl.program_id(1) * tiles + tile) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
            mask = (p < pixels) & c_mask
            offsets = _offsets(n, c, p, C, pixels, CHANNELS_LAST)
            v = tl.load(V + offsets, mask, other=0.0).to(ACC)
            xhat, g, slope, curvature = _backward_tile(
                DY, X, n, c, p, mask, mean, rstd, scale, shift, C, H, W, ACT, ALPHA, PADDING, IMAGES, CHANNELS_LAST, ACC
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
            for tile in range(tiles_out):
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
    """The division of a dense tensor into tiles."""

    grid: tuple[int, int]
    """Groups of channels, and splits of a plane."""
    tiles: int
    """Tiles along the pixels in one split."""
    constants: dict[str, Any]


def plan(op: str, x: Tensor, plane: int, tile: int) -> Plan:
    """Choose the tiles: one program for whole planes if they fit, otherwise splits.

    Args:
        op: The name of the configuration.
        x: The main input, (N, C, H, W), dense.
        plane: Float32 elements that one program may handle.
        tile: Float32 elements in the largest tile.
    """
    N, C, H, W = x.shape
    pixels = H * W
    whole, channels = triton.next_power_of_2(pixels), triton.next_power_of_2(max(C, 1))
    channels_last = is_channels_last(x)
    plane //= compute_dtype(x.dtype).itemsize // 4 * (2 if channels_last else 1)
    tile = min(tile, plane)
    # Innermost channels are read at least 16 at a time: 32 bytes of bfloat16, the smallest memory transaction.
    if whole * (min(channels, 16) if channels_last else 1) <= plane:
        block_c = min(channels, 64 if channels_last else max(1024 // whole, 1), plane // whole)
        block_p, splits = min(whole, max(tile // block_c, 1)), 1
    else:
        tile = min(tile, TILE)
        block_c = min(channels, 64, tile) if channels_last else 1
        block_p, splits = tile // block_c, MAX_SPLITS
    warps = min(max(triton.next_power_of_2(block_p * block_c // 1024), 4), 16)
    config = tuned(op, x, (N, C, pixels), BLOCK_P=block_p, BLOCK_C=block_c, num_warps=warps, splits=splits)
    tiles = share(pixels, config["BLOCK_P"], config["splits"])
    grid = (N * triton.cdiv(C, config["BLOCK_C"]), triton.cdiv(pixels, tiles * config["BLOCK_P"]))
    constants = {name: value for name, value in config.items() if name != "splits"}
    return Plan(grid, tiles, {"CHANNELS_LAST": channels_last, "ACC": accumulator(x.dtype), **constants})


def images(x: Tensor, padding: int) -> int:
    """Return how many places on an axis of the padded result may show one pixel: 3 where both ends can reflect it."""
    return 3 if min(x.shape[2:]) < 2 * padding + 2 else 2


def share(pixels: int, block: int, splits: int) -> int:
    """Return the number of tiles of `block` pixels in one split."""
    return triton.cdiv(triton.cdiv(pixels, block), splits)


def partial(x: Tensor, sums: int, splits: int) -> Tensor | None:
    """Return an empty tensor for this many sums of each split, or None where planes are not split."""
    if splits == 1:
        return None
    return torch.empty((sums, splits, *x.shape[:2]), dtype=compute_dtype(x.dtype), device=x.device)


def per_sample(scale: Tensor | None, shift: Tensor | None) -> bool:
    """Return whether scale and shift are (N, C) instead of (C,)."""
    return any(a is not None and a.ndim == 2 for a in (scale, shift))


def contiguous(a: Tensor | None) -> Tensor | None:
    """Return a scale or shift without gaps."""
    return None if a is None else a.contiguous()


def fwd(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """See the operator."""
    y, mean, rstd = padded(x, padding), *statistics(x)
    grid, tiles, constants = plan("instance_norm", x, FWD_PLANE, FWD_PLANE)
    splits, block = grid[1], constants["BLOCK_P"]
    # A padded result is not the tile that the kernel holds: it is written in small tiles.
    block_out = min(block, max(TILE // constants["BLOCK_C"], 1)) if padding else block
    tiles_out = share(y.shape[2:].numel(), block_out, splits)
    sums = partial(x, 2, splits)
    if sums is not None:
        launch(stats_kernel, grid, x, sums, *x.shape, tiles, **constants)
    launch(
        fwd_kernel, grid, x, contiguous(scale), contiguous(shift), residual, y, mean, rstd, sums,
        *x.shape, tiles * block, tiles_out, *((0,) * 4 if residual is None else residual.stride()),
        ACT=act, ALPHA=alpha, EPS=eps, PADDING=padding, PER_SAMPLE=per_sample(scale, shift),
        BLOCK_OUT=block_out, SPLITS=triton.next_power_of_2(splits), **constants,
    )  # fmt: skip
    return y, mean, rstd


def _gradient(a: Tensor | None, x: Tensor) -> Tensor | None:
    """Return an empty tensor for the gradient by a scale or shift, still of shape (N, C)."""
    return None if a is None else torch.empty(x.shape[:2], dtype=compute_dtype(x.dtype), device=x.device)


def _shaped(gradient: Tensor | None, a: Tensor | None, x: Tensor) -> Tensor:
    """Return the gradient in the shape and dtype of the scale or shift; empty without one."""
    if gradient is None or a is None:
        return x.new_empty(0)
    return (gradient if a.ndim == 2 else gradient.sum(0)).to(a.dtype)


def bwd(
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    folds: bool,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See the operator."""
    dx, dresidual = torch.empty_like(x), torch.empty_like(x) if folds else None
    dscale, dshift = _gradient(scale, x), _gradient(shift, x)
    grid, tiles, constants = plan("instance_norm_bwd", x, BWD_PLANE, FOLD_TILE if padding else BWD_PLANE)
    sums = partial(x, 2, grid[1])
    for write in (True,) if sums is None else (False, True):
        launch(
            bwd_kernel, grid, dense_like(dy, x), x, mean, rstd, contiguous(scale), contiguous(shift),
            dx, dresidual, dscale, dshift, sums, *x.shape, tiles,
            WRITE=write, HELD=sums is None and tiles == 1, ACT=act, ALPHA=alpha, PADDING=padding,
            IMAGES=images(x, padding), PER_SAMPLE=per_sample(scale, shift),
            SPLITS=triton.next_power_of_2(grid[1]), **constants,
        )  # fmt: skip
    return (
        dx,
        _shaped(dscale, scale, x),
        _shaped(dshift, shift, x),
        x.new_empty(0) if dresidual is None else dresidual,
    )


def bwdbwd(
    v: Tensor,
    vscale: Tensor | None,
    vshift: Tensor | None,
    vresidual: Tensor | None,
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See the operator."""
    ddy, dx = padded(x, padding), torch.empty_like(x)
    dscale, dshift = _gradient(scale, x), _gradient(shift, x)
    smooth = not ACTIVATIONS[act].piecewise_linear
    # With second derivatives of the activation and a fold, registers hold only half a tile.
    tile = FOLD_TILE // (2 if smooth else 1) if padding else TILE
    grid, tiles, constants = plan("instance_norm_bwdbwd", x, BWD_PLANE, tile)
    tiles_out = share(ddy.shape[2:].numel(), constants["BLOCK_P"], grid[1])
    sums = partial(x, 10 if smooth else 5, grid[1])
    inputs = (
        dense_like(v, x),
        contiguous(vscale),
        contiguous(vshift),
        None if vresidual is None else dense_like(vresidual, x),
        dense_like(dy, x),
    )
    for write in (True,) if sums is None else (False, True):
        launch(
            bwdbwd_kernel, grid, *inputs, x, mean, rstd, contiguous(scale), contiguous(shift),
            ddy, dx, dscale, dshift, sums, *x.shape, tiles, tiles_out,
            WRITE=write, SMOOTH=smooth, ACT=act, ALPHA=alpha, PADDING=padding, IMAGES=images(x, padding),
            PER_SAMPLE=per_sample(scale, shift), SPLITS=triton.next_power_of_2(grid[1]), **constants,
        )  # fmt: skip
    return ddy, dx, _shaped(dscale, scale, x), _shaped(dshift, shift, x)
