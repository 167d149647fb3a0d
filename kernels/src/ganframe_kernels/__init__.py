"""Fused GAN operations for PyTorch: a readable reference of each, Triton kernels, gradients of every order.

`ganframe_kernels.ops` has every operation as a function. Each also has a module of its own, which can replace the
module of that name in StyleGAN's code: `from ganframe_kernels import bias_act`, then `bias_act.bias_act(x, b)`.
"""

from __future__ import annotations

from ganframe_kernels.dispatch import has_triton

__all__ = ["has_triton"]
