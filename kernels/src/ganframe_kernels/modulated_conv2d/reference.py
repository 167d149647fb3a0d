"""The specification of modulated_conv2d, in plain PyTorch: weights for each sample, in a grouped convolution."""

from __future__ import annotations

from torch import Tensor

from ganframe_kernels.modulated_conv2d.convolution import Resampling, convolve
from ganframe_kernels.precision import compute_dtype


def modulated_conv2d(x: Tensor, weight: Tensor, styles: Tensor, resampling: Resampling, demodulate: bool) -> Tensor:
    """Compute `conv2d(x[n], weight * styles[n] * demodulation[n])`, in float32 for the half types."""
    dtype = compute_dtype(x.dtype)
    N, _, H, W = x.shape
    w = weight.to(dtype)[None] * styles.to(dtype)[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum([2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    # A convolution cannot have 0 groups; an empty batch only needs the shape.
    w = w.flatten(0, 1) if N else weight.to(dtype)
    y = convolve(x.to(dtype).reshape(min(N, 1), -1 if N else x.shape[1], H, W), w, resampling, groups=max(N, 1))
    return y.reshape(N, weight.shape[0], *y.shape[2:]).to(x.dtype)
