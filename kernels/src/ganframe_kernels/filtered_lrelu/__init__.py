"""Leaky relu at a higher resolution, between low-pass filters, so that it adds few frequencies that alias."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

from torch import Tensor

from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.checks import check_choice, check_floating, check_rank, wrong
from ganframe_kernels.upfirdn2d import sides, upfirdn2d, upfirdn2d_bias_act

__all__ = ["filtered_lrelu"]


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    impl: Literal["cuda", "ref"] = "cuda",
) -> Tensor:
    """Add a bias, upsample, compute `clamp(gain * lrelu(x))`, and downsample.

    Karras et al. 2021, arXiv:2106.12423, section 3.2, with the arguments of the function of this name in StyleGAN3's
    code. Three passes: the bias, the upsampling with the activation, the downsampling. Its gradients, of every order,
    are those of `bias_act` and `upfirdn2d`.

    Args:
        x: Shape (N, C, H, W). The result has its dtype, and is channels_last where x is.
        fu: The upsampling filter, from `upfirdn2d.setup_filter`: (height, width), or (taps,) where separable. None is
            the identity. The upsampled image keeps its brightness.
        fd: The downsampling filter, likewise.
        b: Bias of shape (C,), or None for none. The padding is 0 after it.
        up: Upsampling factor.
        down: Downsampling factor.
        padding: Zeros around the upsampled image: a number, [x, y] or [left, right, top, bottom]. Negative ones crop.
        gain: Factor of the activation.
        slope: Slope of the leaky relu below zero, at least 0.
        clamp: The activation is kept within -clamp and clamp; at least 0. None does not clamp.
        flip_filter: False convolves, True correlates, with both filters.
        impl: `cuda` takes the best implementation, see `ganframe_kernels.dispatch`; `ref` the reference.

    Raises:
        TypeError: x, b or a filter is not a floating tensor.
        ValueError: A shape, device or option is out of its range, or the result would have no pixel.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    check_choice("impl", impl, ("cuda", "ref"))
    for name, factor in (("up", up), ("down", down)):
        if factor < 1:
            raise wrong(name, "a factor of at least 1", factor)
    if slope < 0:
        raise wrong("slope", "a slope of at least 0", slope)
    padding = sides(padding)
    if b is not None:
        x = bias_act(x, b, impl=impl)
    if impl == "ref":
        x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2, impl=impl)
        x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp, impl=impl)
    else:
        x = upfirdn2d_bias_act(
            x, fu, None, up, 1, padding, flip_filter, up**2, act="lrelu", alpha=slope, act_gain=gain, clamp=clamp
        )
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter, impl=impl)
