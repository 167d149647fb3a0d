"""Every operation: call it, and the best implementation for the device, the dtype and the mode runs."""

from __future__ import annotations

from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.conv2d_resample import conv2d_resample
from ganframe_kernels.upfirdn2d import (
    downsample2d,
    filter2d,
    setup_filter,
    upfirdn2d,
    upfirdn2d_bias_act,
    upsample2d,
)

__all__ = [
    "bias_act",
    "conv2d_resample",
    "downsample2d",
    "filter2d",
    "setup_filter",
    "upfirdn2d",
    "upfirdn2d_bias_act",
    "upsample2d",
]
