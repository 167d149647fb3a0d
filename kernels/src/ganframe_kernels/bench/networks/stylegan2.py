"""StyleGAN2, configuration F: Karras et al. 2020, arXiv:1912.04958, built from this package's operations.

At 256 x 256 and with `base` 32768 the generator has 30,034,338 parameters and the discriminator 28,864,129.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganframe_kernels import ops

LATENT = 512
"""Dimensions of a latent z, and of the w that the mapping computes from it."""

MOST = 512
"""Largest number of channels of a layer."""


class Generator(nn.Module):
    """Latents (N, LATENT) to images (N, 3, side, side).

    Args:
        side: Sides of the images, a power of 2 from 8 on.
        base: Channels of a layer times its sides; no layer has more than MOST.
    """

    def __init__(self, side: int, base: int = 32768) -> None:
        super().__init__()
        widths = _widths(side, base)
        self.mapping = nn.ModuleList(Linear(LATENT, LATENT, act="lrelu", rate=0.01) for _ in range(8))
        self.constant = nn.Parameter(torch.randn(1, widths[4], 4, 4))
        self.first = Layer(widths[4], widths[4])
        self.first_image = ToImage(widths[4])
        self.blocks = nn.ModuleList(Block(widths[low], widths[high]) for low, high in pairwise(widths))

    def forward(self, latent: Tensor) -> Tensor:
        """Generate images."""
        return self.synthesize(self.mapped(latent))

    def mapped(self, latent: Tensor) -> Tensor:
        """Map latents z to latents w, both (N, LATENT)."""
        w = latent * (latent.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = layer(w)
        return w

    def synthesize(self, w: Tensor) -> Tensor:
        """Generate the images of latents w."""
        x = self.first(self.constant.expand(len(w), -1, -1, -1), self.first.style(w))
        image = self.first_image(x, w)
        for block in self.blocks:
            x, image = block(x, image, w)
        return image


class Block(nn.Module):
    """Two layers that double the sides, and add to the image."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = Layer(before, after, up=2)
        self.second = Layer(after, after)
        self.image = ToImage(after)
        self.register_buffer("filter", ops.setup_filter([1, 3, 3, 1]), persistent=False)
        self.filter: Tensor

    def forward(self, x: Tensor, image: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and image with twice the sides."""
        style = self.second.style(w)
        # Only the second layer reads the first, which can therefore apply the second's style.
        x = self.first(x, self.first.style(w), next_style=style)
        x = self.second(x, style, styled=True)
        return x, ops.upsample2d(image, self.filter) + self.image(x, w)


class Layer(nn.Module):
    """A modulated 3 x 3 convolution, noise, bias and leaky ReLU; with `up` 2 at twice the sides."""

    def __init__(self, before: int, after: int, up: int = 1) -> None:
        super().__init__()
        self.up = up
        self.style = Linear(LATENT, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(after))
        self.register_buffer("filter", ops.setup_filter([1, 3, 3, 1]), persistent=False)
        self.filter: Tensor

    def forward(self, x: Tensor, style: Tensor, next_style: Tensor | None = None, styled: bool = False) -> Tensor:
        """See `ops.modulated_conv2d_act`."""
        height, width = (self.up * side for side in x.shape[2:])
        noise = torch.randn(len(x), 1, height, width, device=x.device, dtype=x.dtype)
        return ops.modulated_conv2d_act(
            x,
            self.weight,
            style,
            noise,
            self.strength,
            self.bias,
            next_style,
            up=self.up,
            padding=1,
            resample_filter=self.filter,
            clamp=256,
            styled=styled,
            fused_modconv=False,
        )


class ToImage(nn.Module):
    """A modulated 1 x 1 convolution to three channels, without demodulation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.style = Linear(LATENT, channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the image (N, 3, H, W) of features (N, channels, H, W)."""
        style = self.style(w) / sqrt(self.weight.shape[1])
        x = ops.modulated_conv2d(x, self.weight, style, demodulate=False, fused_modconv=False)
        return ops.bias_act(x, self.bias, clamp=256)


class Discriminator(nn.Module):
    """Images (N, 3, side, side) to logits (N, 1).

    Args:
        side: Sides of the images, a power of 2 from 8 on.
        base: Channels of a layer times its sides; no layer has more than MOST.
    """

    def __init__(self, side: int, base: int = 32768) -> None:
        super().__init__()
        widths = _widths(side, base)
        self.from_image = Convolution(3, widths[side], 1)
        self.blocks = nn.Sequential(*(Residual(widths[high], widths[low]) for high, low in pairwise(reversed(widths))))
        self.last = Convolution(widths[4] + 1, widths[4], 3)
        self.hidden = Linear(widths[4] * 4 * 4, widths[4], act="lrelu")
        self.judge = Linear(widths[4], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of images."""
        x = ops.minibatch_stddev(self.blocks(self.from_image(image)))
        return self.judge(self.hidden(self.last(x).flatten(1)))


class Residual(nn.Module):
    """Two convolutions that halve the sides, plus a skip connection by one of 1 x 1."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = Convolution(before, before, 3)
        self.second = Convolution(before, after, 3, down=2, gain=sqrt(0.5))
        self.skip = Convolution(before, after, 1, down=2, act="linear", gain=sqrt(0.5), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features with half the sides."""
        return self.second(self.first(x)) + self.skip(x)


class Convolution(nn.Module):
    """A convolution, bias and activation, its weights scaled in each pass; with `down` 2 to half the sides."""

    def __init__(
        self,
        before: int,
        after: int,
        taps: int,
        down: int = 1,
        act: str = "lrelu",
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.down, self.act = down, act
        self.gain = gain * (sqrt(2) if act == "lrelu" else 1.0)
        self.weight = nn.Parameter(torch.randn(after, before, taps, taps))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.register_buffer("filter", ops.setup_filter([1, 3, 3, 1]), persistent=False)
        self.filter: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return features with `after` channels."""
        weight = (self.weight / sqrt(self.weight[0].numel())).to(x.dtype)
        x = ops.conv2d_resample(x, weight, self.filter, down=self.down, padding=self.weight.shape[-1] // 2)
        return ops.bias_act(x, self.bias, act=self.act, gain=self.gain, clamp=256 * self.gain)


class Linear(nn.Module):
    """A matrix, bias and activation, scaled in each pass so that all layers learn at `rate`."""

    def __init__(self, before: int, after: int, act: str = "linear", bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.act, self.rate = act, rate
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors (N, after)."""
        x = F.linear(x, self.weight * (self.rate / sqrt(self.weight.shape[1])))
        return ops.bias_act(x, self.bias * self.rate, act=self.act)


def _widths(side: int, base: int) -> dict[int, int]:
    """Return the number of channels at every resolution, from 4 to `side`."""
    return {4 * 2**step: min(base // (4 * 2**step), MOST) for step in range((side // 4).bit_length())}
