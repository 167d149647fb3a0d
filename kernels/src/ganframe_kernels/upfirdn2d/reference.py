"""The specification of upfirdn2d, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.precision import compute_dtype


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    """Insert zeros, pad, filter, keep every down-th pixel; in float32 for the half types.

    Args:
        x: (N, C, H, W).
        f: (height, width).
        up: Factors along x and y.
        down: Factors along x and y.
        padding: Zeros at the left, right, top and bottom of the upsampled image; negative ones crop.
        flip_filter: False convolves, True correlates.
        gain: Factor of the result.
    """
    N, C, H, W = x.shape
    y = x.to(compute_dtype(x.dtype)).reshape(N * C, 1, H, 1, W, 1)
    y = F.pad(y, [0, up[0] - 1, 0, 0, 0, up[1] - 1]).reshape(N * C, 1, H * up[1], W * up[0])
    y = F.pad(y, list(padding))
    f = f.to(y.dtype) * gain
    f = f if flip_filter else f.flip(0, 1)
    y = F.conv2d(y, f[None, None], stride=(down[1], down[0]))
    return y.reshape(N, C, *y.shape[2:]).to(x.dtype)
