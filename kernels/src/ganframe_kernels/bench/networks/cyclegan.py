"""CycleGAN: Zhu et al. 2017, arXiv:1703.10593, appendix, built from this package's operations.

With 3 input and output channels and `width` 64, the generator with 9 blocks has 11,378,179 parameters, and the
discriminator, with a receptive field of 70 pixels, 2,764,737.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganframe_kernels.instance_norm import InstanceNormAct2d


class ResNet(nn.Module):
    """The generator: images (N, 3, H, W) to images of the same shape; H and W are multiples of 4.

    Every reflection padding is done by the norm before the convolution that needs it.

    Args:
        blocks: Number of residual blocks.
        width: Channels of the first layer.
    """

    def __init__(self, blocks: int = 9, width: int = 64) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv2d(3, width, 7),
            InstanceNormAct2d(width, act="relu"),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            InstanceNormAct2d(2 * width, act="relu"),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            InstanceNormAct2d(4 * width, act="relu", padding=1),
        )
        self.blocks = nn.ModuleList(Block(4 * width, last=index == blocks - 1) for index in range(blocks))
        self.leave = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
            InstanceNormAct2d(2 * width, act="relu"),
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            InstanceNormAct2d(width, act="relu", padding=3),
            nn.Conv2d(width, 3, 7),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate images."""
        x = self.enter(F.pad(image, (3, 3, 3, 3), mode="reflect"))
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.leave(x))


class Block(nn.Module):
    """x + f(x), with two convolutions in f; x has a border of one pixel, and so has every result but the last."""

    def __init__(self, channels: int, last: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3)
        self.first_norm = InstanceNormAct2d(channels, act="relu", padding=1)
        self.second = nn.Conv2d(channels, channels, 3)
        self.second_norm = InstanceNormAct2d(channels, padding=0 if last else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features with the same number of channels."""
        y = self.first_norm(self.first(x))
        return self.second_norm(self.second(y), residual=x[..., 1:-1, 1:-1])


class PatchGAN(nn.Sequential):
    """The discriminator: images (N, 3, H, W) to logits, one for each patch of 70 x 70 pixels.

    Args:
        width: Channels of the first layer.
    """

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for factor, stride in ((1, 2), (2, 2), (4, 1)):
            after = 2 * factor * width
            layers.append(nn.Conv2d(factor * width, after, 4, stride, padding=1))
            layers.append(InstanceNormAct2d(after, act="lrelu"))
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))
