"""The two networks of DCGAN for any image whose shorter side halves down to between 4 and 7.

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


def stages(sample: SampleSpec) -> tuple[int, tuple[int, int], int]:
    """Return the image channels, the sides of the innermost feature map, and the number of doublings to the image.

    Raises:
        BadInput: When the sample is not one image, when halving does not take the shorter side to between 4 and 7, or
            when the longer side cannot be halved as often.
    """
    shape = parts(sample)[0].shape
    if len(parts(sample)) == 1 and len(shape) == 3:
        _, height, width = shape
        doublings = 0
        while min(height, width) > 7 and height % 2 == width % 2 == 0:
            height, width, doublings = height // 2, width // 2, doublings + 1
        if 4 <= min(height, width) <= 7 and doublings > 0:
            return shape[0], (height, width), doublings
    given = " and ".join(f"{part}" for part in parts(sample))
    raise BadInput(
        f"'dcgan' needs one image whose shorter side halves to between 4 and 7, and the longer as often, not {given}",
        remedy="Sides that fit: 28, 32, 40, 48, 56, 64, 128, ...; most data sets can resize to one of them.",
    )


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
        image_channels, sides, doublings = stages(output)
        self.latent_shape = (config.latent,)
        self.classes = 0 if condition is None else label_count(condition)
        widths = [config.channels * 2**index for index in reversed(range(doublings))]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(config.latent + self.classes, widths[0], sides, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for inner, outer in itertools.pairwise(widths):
            layers += [upsampling(inner, outer, config.upsample), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
        layers += [upsampling(widths[-1], image_channels, config.upsample), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(init_normal)  # section 4

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return images `(B, C, H, W)` in [-1, 1] for latents `(B, latent)` and labels `(B,)`."""
        if condition is not None:
            latent = torch.cat([latent, one_hot(condition, self.classes)], dim=1)
        return self.layers(latent[:, :, None, None])


def upsampling(inner: int, outer: int, upsample: str) -> nn.Module:
    """Return a layer that doubles the resolution."""
    if upsample == "transposed":
        return nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inner, outer, 3, padding=1, bias=False))


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
        image_channels, sides, doublings = stages(sample)
        widths = [image_channels, *(config.channels * 2**index for index in range(doublings))]
        self.stages = nn.ModuleList()
        for index, (outer, inner) in enumerate(itertools.pairwise(widths)):
            # No batch norm next to the image (section 3).
            norm = [nn.BatchNorm2d(inner)] if index > 0 else []
            convolution = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=False)
            self.stages.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True)))
        self.judge = nn.Conv2d(widths[-1], 1, sides, bias=False)
        self.embed = None if condition is None else nn.Embedding(label_count(condition), widths[-1] * math.prod(sides))
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
