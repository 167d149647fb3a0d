"""Every operation; a call runs the best implementation for the device, the dtype and the mode."""

from __future__ import annotations

from ganframe_kernels.adain import AdaIN, adain
from ganframe_kernels.bias_act import bias_act
from ganframe_kernels.conv2d_resample import conv2d_resample
from ganframe_kernels.filtered_lrelu import filtered_lrelu
from ganframe_kernels.gradient_norm import gradient_norm
from ganframe_kernels.instance_norm import InstanceNormAct2d, instance_norm_act
from ganframe_kernels.minibatch_stddev import group_stddev, minibatch_stddev
from ganframe_kernels.modulated_conv2d import demodulation, modulated_conv2d, modulated_conv2d_act
from ganframe_kernels.modulated_epilogue import modulated_epilogue
from ganframe_kernels.pairwise_diversity import pairwise_diversity
from ganframe_kernels.patch_loss import patch_loss, receptive_field
from ganframe_kernels.spectral_norm import spectral_norm_sigma
from ganframe_kernels.upfirdn2d import (
    downsample2d,
    filter2d,
    setup_filter,
    upfirdn2d,
    upfirdn2d_bias_act,
    upsample2d,
)

__all__ = [
    "AdaIN",
    "InstanceNormAct2d",
    "adain",
    "bias_act",
    "conv2d_resample",
    "demodulation",
    "downsample2d",
    "filter2d",
    "filtered_lrelu",
    "gradient_norm",
    "group_stddev",
    "instance_norm_act",
    "minibatch_stddev",
    "modulated_conv2d",
    "modulated_conv2d_act",
    "modulated_epilogue",
    "pairwise_diversity",
    "patch_loss",
    "receptive_field",
    "setup_filter",
    "spectral_norm_sigma",
    "upfirdn2d",
    "upfirdn2d_bias_act",
    "upsample2d",
]
