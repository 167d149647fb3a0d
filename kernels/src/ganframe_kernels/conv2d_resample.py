"""Convolution with up- or downsampling, composed of upfirdn2d and PyTorch's convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.checks import check_floating, check_rank, value_error
from ganframe_kernels.upfirdn2d import filter_size, sides, upfirdn2d


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> Tensor:
    """Upsample with a filter, convolve, and downsample with the filter, in the cheapest order.

    It takes the arguments of the function of this name in StyleGAN2-ADA's code (Karras et al. 2020, arXiv:2006.06676).

    Args:
        x: (N, C, H, W).
        w: (O, C / groups, height, width), in the dtype of x.
        f: The resampling filter, see `ganframe_kernels.upfirdn2d.setup_filter`; None is the identity.
        up: Factor, at least 1.
        down: Factor, at least 1.
        padding: A number, [x, y] or [left, right, top, bottom], in pixels of the upsampled image, in addition
            to the padding that keeps the image aligned under the filter.
        groups: Number of groups of channels.
        flip_weight: True correlates, as torch.nn.functional.conv2d does; False convolves.
        flip_filter: As in `upfirdn2d`.

    Raises:
        TypeError: x or w is not a floating tensor.
        ValueError: A shape or option is out of its range.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    check_floating("w", w)
    check_rank("w", w, "OIHW")
    if groups < 1 or w.shape[1] * groups != x.shape[1] or w.shape[0] % groups:
        raise value_error("w", f"(O, {x.shape[1]} / groups, height, width) for {groups=}", f"shape {tuple(w.shape)}")
    for name, factor in (("up", up), ("down", down)):
        if factor < 1:
            raise value_error(name, "a factor of at least 1", factor)
    height, width = filter_size(f)
    kh, kw = w.shape[2:]
    left, right, top, bottom = sides(padding)
    if up > 1:
        left, right = left + (width + up - 1) // 2, right + (width - up) // 2
        top, bottom = top + (height + up - 1) // 2, bottom + (height - up) // 2
    if down > 1:
        left, right = left + (width - down + 1) // 2, right + (width - down) // 2
        top, bottom = top + (height - down + 1) // 2, bottom + (height - down) // 2

    pointwise = kh == kw == 1
    correlated = w if flip_weight else w.flip(2, 3)
    if up == 1 and down == 1:
        if left == right >= 0 and top == bottom >= 0:
            return F.conv2d(x, correlated, padding=(top, left), groups=groups)
        return F.conv2d(F.pad(x, [left, right, top, bottom]), correlated, groups=groups)
    if up == 1:
        if pointwise:
            x = upfirdn2d(x, f, 1, down, (left, right, top, bottom), flip_filter)
            return F.conv2d(x, correlated, groups=groups)
        x = upfirdn2d(x, f, 1, 1, (left, right, top, bottom), flip_filter)
        return F.conv2d(x, correlated, stride=down, groups=groups)
    if pointwise:
        x = F.conv2d(x, correlated, groups=groups)
        x = upfirdn2d(x, f, up, 1, (left, right, top, bottom), flip_filter, gain=up**2)
    else:
        # Filter and convolution are swapped, so that the convolution skips the inserted zeros. It grows the image by
        # its taps, and leaves out the zeros after the last pixel.
        transposed = correlated.flip(2, 3).unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        x = F.conv_transpose2d(x, transposed, stride=up, groups=groups)
        margin = (left - kw + 1, right - kw + up, top - kh + 1, bottom - kh + up)
        x = upfirdn2d(x, f, 1, 1, margin, flip_filter, gain=up**2)
    return upfirdn2d(x, f, 1, down, 0, flip_filter) if down > 1 else x
