"""Upsample, pad, filter and downsample images in one pass, with bias_act at the end; gradients of every order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels import bias_act as bias_act_op
from ganframe_kernels.autograd import Grads, operator
from ganframe_kernels.bias_act import reference as bias_act_reference
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_rank, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense, is_channels_last
from ganframe_kernels.upfirdn2d import reference

__all__ = ["downsample2d", "filter2d", "setup_filter", "upfirdn2d", "upfirdn2d_bias_act", "upsample2d"]

Implementation = Literal["cuda", "ref"]
IDENTITY = (1, "linear", 0.0, 1.0, None)
"""Options of bias_act that change nothing: dim, act, alpha, gain and clamp."""


def setup_filter(
    f: Tensor | Sequence[Any] | float | None,
    device: torch.device | str = "cpu",
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Make a FIR filter for the functions of this module.

    Args:
        f: Taps: (height, width), or (taps,) for a separable filter, a number, or None for the identity.
        device: Device of the filter.
        normalize: Whether to scale it to a sum of 1, which keeps the brightness.
        flip_filter: Whether to reverse it along each axis.
        gain: Factor of the signal, over both axes.
        separable: Whether to keep one-dimensional taps, which makes two passes of few taps instead of one of many. None
            keeps them from 8 taps on.

    Returns:
        float32: (height, width), or (taps,) where separable.

    Raises:
        ValueError: f has more than two axes, or no taps.
    """
    taps = torch.as_tensor(1.0 if f is None else f, dtype=torch.float32, device=device)
    if taps.ndim > 2 or taps.numel() == 0:
        raise value_error("f", "a number, (taps,) or (height, width), none of them 0", f"shape {tuple(taps.shape)}")
    taps = taps.reshape(1) if taps.ndim == 0 else taps
    if separable is None:
        separable = taps.ndim == 1 and taps.numel() >= 8
    if separable and taps.ndim == 2:
        raise value_error("separable", "False or None for a filter of two axes", separable)
    if taps.ndim == 1 and not separable:
        taps = taps.outer(taps)
    if normalize:
        taps = taps / taps.sum()
    if flip_filter:
        taps = taps.flip(*range(taps.ndim))
    return taps * gain ** (taps.ndim / 2)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: Implementation = "cuda",
) -> Tensor:
    """Insert `up - 1` zeros after each pixel, pad, filter, and keep every `down`-th pixel.

    It takes the arguments of the function of this name in StyleGAN2-ADA's code (Karras et al. 2020, arXiv:2006.06676).
    The result is (N, C, (H * up + top + bottom - height) // down + 1, and likewise in x), in the dtype of x, and
    channels_last where x is.

    Args:
        x: (N, C, H, W), any floating dtype and layout.
        f: (height, width), or (taps,) for a separable filter, float32 or float64, without gradient; see
            `setup_filter`. None is the identity.
        up: Factor, or factors [x, y].
        down: Factor, or factors [x, y].
        padding: Zeros around the upsampled image: a number, [x, y] or [left, right, top, bottom]. Negative ones crop.
        flip_filter: False convolves, True correlates.
        gain: Factor of the result.
        impl: `cuda` takes the best implementation, see `ganframe_kernels.dispatch`; `ref` the reference.

    Raises:
        TypeError: x or f is not a floating tensor.
        ValueError: A shape, device or option is out of its range, or the result would have no pixel.
    """
    return _resample(x, f, up, down, padding, flip_filter, gain, impl, None, IDENTITY)


def upfirdn2d_bias_act(
    x: Tensor,
    f: Tensor | None,
    b: Tensor | None = None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
    act: str = "linear",
    alpha: float | None = None,
    act_gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Compute `bias_act(upfirdn2d(x, f, ...), b, ...)`, in one pass where the activation is piecewise linear.

    The arguments are those of both functions; `gain` belongs to the filter and `act_gain` to the activation.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    options = bias_act_op.resolve(x.device, x.shape, b, 1, act, alpha, act_gain, clamp)
    if bias_act_op.ACTIVATIONS[act].piecewise_linear:
        return _resample(x, f, up, down, padding, flip_filter, gain, "cuda", b, options)
    # The backward of a curved activation needs its input, which the fused kernel does not write.
    return bias_act_op.bias_act(upfirdn2d(x, f, up, down, padding, flip_filter, gain), b, *options)


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: Implementation = "cuda",
) -> Tensor:
    """Filter images; with padding 0 they keep their size. For the arguments, see `upfirdn2d`."""
    height, width = filter_size(f)
    margin = width // 2, (width - 1) // 2, height // 2, (height - 1) // 2
    return upfirdn2d(x, f, 1, 1, _padded(padding, margin), flip_filter, gain, impl)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: Implementation = "cuda",
) -> Tensor:
    """Upsample images; with padding 0 to a multiple of their size, at their brightness.

    For the arguments, see `upfirdn2d`.
    """
    (height, width), (ux, uy) = filter_size(f), pair("up", up)
    margin = (width + ux - 1) // 2, (width - ux) // 2, (height + uy - 1) // 2, (height - uy) // 2
    return upfirdn2d(x, f, (ux, uy), 1, _padded(padding, margin), flip_filter, gain * ux * uy, impl)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: Implementation = "cuda",
) -> Tensor:
    """Downsample images; with padding 0 to a fraction of their size. For the arguments, see `upfirdn2d`."""
    (height, width), (dx, dy) = filter_size(f), pair("down", down)
    margin = (width - dx + 1) // 2, (width - dx) // 2, (height - dy + 1) // 2, (height - dy) // 2
    return upfirdn2d(x, f, 1, (dx, dy), _padded(padding, margin), flip_filter, gain, impl)


def pair(argument: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return a factor, or factors [x, y], as (x, y)."""
    x, y = (value, value) if isinstance(value, int) else value
    if x < 1 or y < 1:
        raise value_error(argument, "a factor of at least 1, or two [x, y]", value)
    return x, y


def sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Return a padding as (left, right, top, bottom)."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if len(padding) == 2:
        return padding[0], padding[0], padding[1], padding[1]
    if len(padding) != 4:
        raise value_error("padding", "a number, [x, y] or [left, right, top, bottom]", padding)
    left, right, top, bottom = padding
    return left, right, top, bottom


def filter_size(f: Tensor | None) -> tuple[int, int]:
    """Return the height and width of a filter."""
    return (1, 1) if f is None else (f.shape[0], f.shape[-1])


def _padded(padding: int | Sequence[int], margin: tuple[int, int, int, int]) -> tuple[int, ...]:
    return tuple(p + m for p, m in zip(sides(padding), margin, strict=True))


def _resample(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int],
    down: int | Sequence[int],
    padding: int | Sequence[int],
    flip_filter: bool,
    gain: float,
    impl: Implementation,
    b: Tensor | None,
    options: tuple[int, str, float, float, float | None],
) -> Tensor:
    """Check, then run one pass, or one for each axis of a separable filter; b and the options apply to the last."""
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    check_choice("impl", impl, ("cuda", "ref"))
    if f is None:
        f = torch.ones((1, 1), device=x.device)
    check_floating("f", f)
    check_device("f", f, x.device)
    if f.ndim not in (1, 2) or f.numel() == 0:
        raise value_error("f", "shape (taps,) or (height, width), none of them 0", f"shape {tuple(f.shape)}")
    if f.requires_grad:
        raise value_error("f", "a constant filter", "one that requires a gradient")
    (ux, uy), (dx, dy), (left, right, top, bottom) = pair("up", up), pair("down", down), sides(padding)
    height, width = filter_size(f)
    if x.shape[2] * uy + top + bottom < height or x.shape[3] * ux + left + right < width:
        raise value_error(
            "x", f"an image that covers the filter ({height}, {width})", f"shape {tuple(x.shape)}, {padding=}"
        )
    passes = [(f, (ux, uy), (dx, dy), (left, right, top, bottom), flip_filter, float(gain))]
    if f.ndim == 1:
        passes = [
            (f[None, :], (ux, 1), (dx, 1), (left, right, 0, 0), flip_filter, float(gain)),
            (f[:, None], (1, uy), (1, dy), (0, 0, top, bottom), flip_filter, 1.0),
        ]
    if impl == "ref" or not use_triton(x, "upfirdn2d", ux, uy, dx, dy, height, width):
        for arguments in passes:
            x = reference.upfirdn2d(x, *arguments)
        return x if b is None and options == IDENTITY else bias_act_reference.bias_act(x, b, *options)
    x = dense(x)
    for arguments in passes[:-1]:
        x = fwd(x, arguments[0], None, *arguments[1:], *IDENTITY[1:])
    return fwd(x, passes[-1][0], b, *passes[-1][1:], *options[1:])


# The operator. Its adjoint is itself with up and down swapped and the filter flipped, so that it has every order.


def _empty(x: Tensor, f: Tensor, up: Sequence[int], down: Sequence[int], padding: Sequence[int]) -> Tensor:
    left, right, top, bottom = padding
    height = (x.shape[2] * up[1] + top + bottom - f.shape[0]) // down[1] + 1
    width = (x.shape[3] * up[0] + left + right - f.shape[1]) // down[0] + 1
    memory_format = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.empty(
        (x.shape[0], x.shape[1], height, width), dtype=x.dtype, device=x.device, memory_format=memory_format
    )


def _fake(
    x: Tensor, f: Tensor, b: Tensor | None, up: Sequence[int], down: Sequence[int], padding: Sequence[int], *_: object
) -> Tensor:
    return _empty(x, f, up, down, padding)


def _save(ctx: Any, output: Tensor, x: Tensor, f: Tensor, b: Tensor | None, *options: Any) -> Grads:
    ctx.shape = x.shape
    # The slope of the activation follows from its result; see bias_act.
    return f, b, None if b is None and options[5:] == IDENTITY[1:] else output


def _backward(ctx: Any, dz: Tensor) -> Grads:
    f, b, y = ctx.saved_tensors
    up, down, padding, flip_filter, gain, *bias_act_options = ctx.options
    db = None
    if y is not None:
        dz, db = bias_act_op.bwd(dz, y, b, 1, *bias_act_options)
    (ux, uy), (dx, dy), (left, _, top, _) = up, down, padding
    adjoint = (
        f.shape[1] - left - 1,
        ctx.shape[3] * ux - dz.shape[3] * dx + left - ux + 1,
        f.shape[0] - top - 1,
        ctx.shape[2] * uy - dz.shape[2] * dy + top - uy + 1,
    )
    grad = fwd(dense(dz), f, None, down, up, adjoint, not flip_filter, gain, *IDENTITY[1:])
    return grad, None, None if b is None else db


@operator("ganframe_kernels::upfirdn2d_fwd", fake=_fake, backward=_backward, save=_save)
def fwd(
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
    """Run `upfirdn2d_bias_act`, with every option resolved, a filter of two axes, and a piecewise linear activation."""
    from ganframe_kernels.upfirdn2d import kernels  # needs Triton

    y = _empty(x, f, up, down, padding)
    return kernels.fwd(y, x, f, b, up, down, padding, flip_filter, gain, act, alpha, act_gain, clamp)
