"""Adaptive instance norm and activation in one pass, with gradients of every order."""

from __future__ import annotations

from torch import Tensor, nn

from ganframe_kernels.checks import check_device, check_floating, check_rank, check_shape
from ganframe_kernels.instance_norm import ACTIVATIONS, norm_act

__all__ = ["ACTIVATIONS", "AdaIN", "adain"]


def adain(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-8, act: str = "linear", alpha: float = 0.2
) -> Tensor:
    """Compute `act(scale * xhat + shift)`, where xhat is x normalized over each plane.

    Huang and Belongie 2017 (arXiv:1703.06868), as in StyleGAN (Karras et al. 2019, arXiv:1812.04948, eq. 1). StyleGAN's
    affine layer learns the difference of the scale from 1: pass `1 + style`. Its activation comes before the norm, so
    that act stays linear; other networks, such as MUNIT, have it after.

    The kernels are those of `ganframe_kernels.instance_norm`.

    Args:
        x: (N, C, H, W), H and W at least 1, in any layout. The result has its shape and dtype, and its layout where
            that is channels_last; contiguous otherwise.
        scale: (N, C), in any floating dtype.
        shift: As scale.
        eps: Added to the biased variance; above 0. The default is StyleGAN's.
        act: One of ACTIVATIONS: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish; without gain.
        alpha: Slope of lrelu below zero, at least 0; the other activations ignore it.

    Raises:
        TypeError: A tensor is not floating.
        ValueError: A shape or device does not fit x, or an option is out of its range.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    for name, a in (("scale", scale), ("shift", shift)):
        check_floating(name, a)
        check_shape(name, a, tuple(x.shape[:2]))
        check_device(name, a, x.device)
    return norm_act(x, scale, shift, None, act, alpha, eps, 0)


class AdaIN(nn.Module):
    """The layer of `adain`. It has no parameters: scale and shift are inputs."""

    def __init__(self, eps: float = 1e-8, act: str = "linear", alpha: float = 0.2) -> None:
        """Create the layer, with the options of `adain`."""
        super().__init__()
        self.eps = eps
        self.act = act
        self.alpha = alpha

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Apply `adain` to x of (N, C, H, W), with scale and shift of (N, C)."""
        return adain(x, scale, shift, self.eps, self.act, self.alpha)

    def extra_repr(self) -> str:
        """Return the options, for print."""
        return f"eps={self.eps}, act={self.act!r}, alpha={self.alpha}"
