"""The two networks of DCGAN, for any image with sides of at least 8.

At 64 x 64 with 3 channels and the default widths they have 3,576,704 and 2,765,568 parameters.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganframe.config import BadInput, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, init_normal
from ganframe_dcgan import DCGANDiscriminator, DCGANGenerator

Sides = tuple[int, int]
"""The height and width of an image or of a feature map."""


def resolutions(sample: SampleSpec) -> tuple[int, list[Sides]]:
    """Return the image channels, and the sides of the image and of each feature map, the innermost last.

    A layer halves both sides, rounding down, until the shorter one is between 4 and 7.

    Raises:
        BadInput: When the sample is not one image with sides of at least 8.
    """
    shape = parts(sample)[0].shape
    if len(parts(sample)) > 1 or len(shape) != 3 or min(shape[1:]) < 8:
        given = " and ".join(f"{part}" for part in parts(sample))
        remedy = "Most data sets can resize images: `resolution: 64`, or `[48, 64]` for a height and a width."
        raise BadInput(f"'dcgan' needs one image with sides of at least 8, not {given}", remedy=remedy)
    channels, height, width = shape
    sides = [(height, width)]
    while min(sides[-1]) > 7:
        sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
    return channels, sides


class Generator(nn.Module):
    """Maps a latent to an image.

    Args:
        config: Widths.
        output: The image.
        condition: Class labels, joined to the latent as one-hot vectors; None for an unconditional network.

    References:
        Radford et al. 2016, arXiv:1511.06434.
    """

    def __init__(self, config: DCGANGenerator, output: TensorSpec, condition: TensorSpec | None) -> None:
        super().__init__()
        image_channels, sides = resolutions(output)
        *outer_sides, innermost = sides
        self.latent_shape = (config.latent,)
        self.classes = 0 if condition is None else label_count(condition)
        widths = [config.channels * 2**index for index in reversed(range(len(outer_sides)))]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(config.latent + self.classes, widths[0], innermost, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for (inner, outer), target in zip(itertools.pairwise(widths), reversed(outer_sides[1:]), strict=True):
            layers += [upsampling(inner, outer, target, config.upsample), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
        layers += [upsampling(widths[-1], image_channels, outer_sides[0], config.upsample), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(init_normal)  # section 4

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [-1, 1] for latents `(B, latent)` and labels `(B,)`."""
        if condition is not None:
            latent = torch.cat([latent, one_hot(condition, self.classes)], dim=1)
        return self.layers(latent[:, :, None, None])


def upsampling(inner: int, outer: int, sides: Sides, upsample: str) -> nn.Module:
    """Return a layer that doubles the resolution to `sides`, of which an odd one is one more than the double."""
    if upsample == "transposed":
        odd = (sides[0] % 2, sides[1] % 2)
        return nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, output_padding=odd, bias=False)
    return nn.Sequential(nn.Upsample(size=sides), nn.Conv2d(inner, outer, 3, padding=1, bias=False))


def label_count(condition: TensorSpec) -> int:
    """Return the number of class labels.

    Raises:
        BadInput: When the condition is not a class label.
    """
    if condition.classes is None:
        raise BadInput(f"'dcgan' takes class labels as its condition, not {condition}")
    return condition.classes


class Discriminator(nn.Module):
    """Maps an image to a logit.

    Args:
        config: Widths.
        sample: The image.
        condition: Class labels, for a projection; None for an unconditional network.

    References:
        Radford et al. 2016, arXiv:1511.06434; projection: Miyato and Koyama 2018, arXiv:1802.05637, eq. 3.
    """

    def __init__(self, config: DCGANDiscriminator, sample: SampleSpec, condition: TensorSpec | None) -> None:
        super().__init__()
        image_channels, sides = resolutions(sample)
        innermost = sides[-1]
        widths = [image_channels, *(config.channels * 2**index for index in range(len(sides) - 1))]
        self.stages = nn.ModuleList()
        for index, (outer, inner) in enumerate(itertools.pairwise(widths)):
            # No batch norm next to the image (section 3).
            norm = [nn.BatchNorm2d(inner)] if index > 0 else []
            convolution = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=False)
            self.stages.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True)))
        self.judge = nn.Conv2d(widths[-1], 1, innermost, bias=False)
        features = widths[-1] * math.prod(innermost)
        self.embed = None if condition is None else nn.Embedding(label_count(condition), features)
        self.apply(init_normal)  # section 4
        if self.embed is not None:
            # The projection is an inner product over all features: from N(0, 1) it would dominate the logit.
            nn.init.normal_(self.embed.weight, 0.0, 0.02)

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return logits `(B,)` and features for images `(B, C, H, W)`, with labels `(B,)` if conditional."""
        features: list[Tensor] = []
        hidden = sample
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        logits = self.judge(hidden).flatten()
        if self.embed is not None:
            logits = logits + (self.embed(condition) * hidden.flatten(1)).sum(dim=1)
        return DiscriminatorOutput(logits, features=tuple(features))
