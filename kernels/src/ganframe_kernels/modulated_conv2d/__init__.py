"""Modulated convolution: the weights are scaled by each sample's style, and demodulated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from ganframe_kernels.checks import check_device, check_floating, check_rank, check_shape, value_error
from ganframe_kernels.layout import is_channels_last
from ganframe_kernels.modulated_conv2d import reference
from ganframe_kernels.modulated_conv2d.convolution import Resampling, convolve
from ganframe_kernels.modulated_epilogue import modulated_epilogue
from ganframe_kernels.precision import compute_dtype

__all__ = ["demodulation", "modulated_conv2d", "modulated_conv2d_act"]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    fused_modconv: bool = True,
) -> Tensor:
    """Convolve each sample with weights scaled by its style, and normalized again ("demodulated").

    Karras et al. 2020, arXiv:1912.04958, eq. 1 to 3, with the arguments of the function of this name in StyleGAN2-ADA's
    code. The weights of a sample are `w[o, i] * styles[i]`, divided by their norm over i and the window. The reference
    builds them. Otherwise the style scales the input and the norm the output of one ordinary convolution; a window of
    one pixel scales the weights, which are smaller than the activations.

    Args:
        x: Shape (N, I, H, W). The result has its dtype, or autocast's.
        weight: Shape (O, I, h, w).
        styles: Shape (N, I).
        noise: Added to the result; it broadcasts to the shape (N, O, H', W'). None adds nothing.
        up: Factor by which x is upsampled first.
        down: Factor by which the result is downsampled.
        padding: Pixels on each side of the upsampled input: one number, [x, y] or [left, right, top, bottom].
        resample_filter: The low-pass filter for up and down, from `upfirdn2d.setup_filter`. None is the identity.
        demodulate: Whether to divide by the norm.
        flip_weight: True correlates, as torch.nn.functional.conv2d does; False convolves.
        fused_modconv: Whether the reference builds the weights of each sample. Otherwise it scales input and output
            of one convolution, as the other implementations always do. The result is the same.

    Raises:
        TypeError: x, weight, styles or noise is not a floating tensor.
        ValueError: A shape, a device or an option does not fit.
    """
    x, resampling = _checked(x, weight, styles, up, down, padding, resample_filter, flip_weight)
    if noise is not None:
        check_floating("noise", noise)
        check_device("noise", noise, x.device)
    if fused_modconv and _reference_only():
        y, demod = reference.modulated_conv2d(x, weight, styles, resampling, demodulate), None
    else:
        y, demod = _convolved(x, weight, styles, resampling, demodulate, styled=False)
    if demod is not None:
        y = modulated_epilogue(y, demod, alpha=1, gain=1)
    if noise is None:
        return y
    _check_broadcasts("noise", noise, y)
    return (y + noise).to(y.dtype)


def modulated_conv2d_act(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
    bias: Tensor | None = None,
    next_style: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    alpha: float = 0.2,
    gain: float = sqrt(2),
    clamp: float | None = None,
    styled: bool = False,
    fused_modconv: bool = True,
) -> Tensor:
    """Compute a layer of StyleGAN2: `modulated_conv2d`, then `modulated_epilogue`, in one pass with the demodulation.

    Where only the second of two layers reads the first, the first can apply the second's style, which saves a pass over
    the activations:
    `y = modulated_conv2d_act(x, w1, s1, next_style=s2)`, then `modulated_conv2d_act(y, w2, s2, styled=True)`.

    Args:
        x: See `modulated_conv2d`, as for weight, styles, up, down, padding, resample_filter, demodulate, flip_weight.
        weight: Shape (O, I, h, w).
        styles: Shape (N, I).
        noise: Shape (N, 1, H', W') or (1, 1, H', W') for a result of H' x W' pixels; see `modulated_epilogue`, as for
            strength, bias, next_style, alpha, gain and clamp.
        strength: Shape ().
        bias: Shape (O,).
        next_style: Shape (N, O).
        up: Factor by which x is upsampled first.
        down: Factor by which the result is downsampled.
        padding: Pixels on each side of the upsampled input.
        resample_filter: The low-pass filter for up and down.
        demodulate: Whether to divide by the norm of the weights.
        flip_weight: True correlates; False convolves.
        alpha: Slope of the leaky relu below zero.
        gain: Factor of the activation.
        clamp: The activation is kept within -clamp and clamp.
        styled: Whether x has already been multiplied by styles, as next_style of the previous layer.
        fused_modconv: See `modulated_conv2d`.

    Raises:
        TypeError: A tensor is not floating.
        ValueError: A shape, a device or an option does not fit.
    """
    x, resampling = _checked(x, weight, styles, up, down, padding, resample_filter, flip_weight)
    if fused_modconv and _reference_only():
        # x already includes the style; the norm still needs it.
        demod = demodulation(weight, styles) if styled and demodulate else None
        y = reference.modulated_conv2d(
            x, weight, torch.ones_like(styles) if styled else styles, resampling, demodulate and not styled
        )
    else:
        y, demod = _convolved(x, weight, styles, resampling, demodulate, styled)
    return modulated_epilogue(y, demod, noise, strength, bias, next_style, alpha, gain, clamp)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Compute 1 / norm of the modulated weights, by one matrix product: `rsqrt(styles^2 @ sum(weight^2)^T + 1e-8)`.

    Args:
        weight: Shape (O, I, h, w).
        styles: Shape (N, I).

    Returns:
        Shape (N, O), in float64 where weight and styles have it, in float32 otherwise.
    """
    dtype = compute_dtype(torch.promote_types(weight.dtype, styles.dtype))
    # Autocast would round the squares to half precision.
    with torch.autocast(weight.device.type, enabled=False):
        energy = weight.to(dtype).square().sum([2, 3])
        return (styles.to(dtype).square() @ energy.T + 1e-8).rsqrt()


def _convolved(
    x: Tensor, weight: Tensor, styles: Tensor, resampling: Resampling, demodulate: bool, styled: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the convolution, and the factor (N, O) by which its output must still be multiplied, or None."""
    demod = demodulation(weight, styles) if demodulate else None
    O, I, h, w = weight.shape
    if h == w == 1 and resampling.plain_padding() == (0, 0) and x.shape[2:].numel() > O:
        dtype = compute_dtype(x.dtype)
        weights = weight.to(dtype).view(1, O, I)
        if not styled:
            weights = weights * styles.to(dtype)[:, None, :]
        if demod is not None:
            weights = weights * demod.to(dtype)[:, :, None]
        return _pointwise(x, weights.to(x.dtype).expand(x.shape[0], O, I)), None
    if demod is not None and x.dtype == torch.float16:
        # float16 ends at 65504. Factors that cancel in the end bring the weights' norm below 1, and the styles too.
        scale = weight.detach().float().abs().amax([1, 2, 3]).clamp(min=1e-30) * sqrt(I * h * w)
        weight = weight.float() / scale[:, None, None, None]
        demod = demod * scale
        if not styled:
            scale = styles.detach().float().abs().amax(1, keepdim=True).clamp(min=1e-30)
            styles = styles.float() / scale
            demod = demod * scale
    if not styled:
        x = modulated_epilogue(x, styles, alpha=1, gain=1)
    return convolve(x, weight.to(x.dtype), resampling), demod


def _pointwise(x: Tensor, weights: Tensor) -> Tensor:
    """Convolve x with weights of shape (N, O, I), in its layout."""
    if is_channels_last(x):
        return torch.einsum("nhwi,noi->nhwo", x.permute(0, 2, 3, 1), weights).permute(0, 3, 1, 2)
    return (weights @ x.flatten(2)).unflatten(2, x.shape[2:])


def _reference_only() -> bool:
    """Return whether the grouped form was asked for: the other form needs no Triton, and is faster everywhere."""
    return os.environ.get("GANFRAME_KERNELS") == "reference"


def _checked(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    up: int,
    down: int,
    padding: int | Sequence[int],
    resample_filter: Tensor | None,
    flip_weight: bool,
) -> tuple[Tensor, Resampling]:
    """Check the arguments; return x in autocast's dtype, and the options."""
    for name, tensor, axes in (("x", x, "NCHW"), ("weight", weight, "OIHW"), ("styles", styles, "NI")):
        check_floating(name, tensor)
        check_rank(name, tensor, axes)
        check_device(name, tensor, x.device)
    N, I = x.shape[:2]
    check_shape("weight", weight, (weight.shape[0], I, *weight.shape[2:]))
    check_shape("styles", styles, (N, I))
    for name, factor in (("up", up), ("down", down)):
        if factor < 1:
            raise value_error(name, "a factor of at least 1", factor)
    if not isinstance(padding, int) and len(padding) not in (2, 4):
        raise value_error("padding", "a number, [x, y] or [left, right, top, bottom]", list(padding))
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return x, Resampling(up, down, padding, resample_filter, flip_weight)


def _check_broadcasts(argument: str, x: Tensor, other: Tensor) -> None:
    pairs = zip(reversed(x.shape), reversed(other.shape), strict=False)
    if x.ndim > other.ndim or any(size not in (1, full) for size, full in pairs):
        raise value_error(argument, f"a shape that broadcasts to {tuple(other.shape)}", f"shape {tuple(x.shape)}")
