"""The PatchGAN discriminator.

With n layers that halve the sides, an image of sides (H, W) has (H / 2^n - 2) x (W / 2^n - 2) logits. With 64 channels
and a receptive field of 70 (n = 3) the network has 2,768,705 parameters for 6 image channels and batch norm, and
2,764,737 for 3 image channels and instance norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from ganframe_kernels.instance_norm import InstanceNormAct2d
from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, parts
from ganframe.game import DiscriminatorOutput
from ganframe_patchgan import PatchGAN

if TYPE_CHECKING:
    from ganframe.game import Sample

STRIDED = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Layers that halve the sides, by receptive field."""


class Discriminator(nn.Module):
    """An image, or several joined along the channels, to a logit for each patch.

    Args:
        config: Receptive field, width and norm.
        sample: One image, or several of the same sides.

    Raises:
        BadInput: When the sample is no image, its parts differ in their sides, or it is too small for one patch.
    """

    def __init__(self, config: PatchGAN, sample: SampleSpec) -> None:
        super().__init__()
        strided = STRIDED[config.receptive_field]
        _check(config, sample, strided)
        kernel, padding = (1, 0) if strided == 0 else (4, 1)
        strides = [1, 1] if strided == 0 else [*[2] * strided, 1]
        before = sum(part.shape[0] for part in parts(sample))
        self.stages = nn.ModuleList()
        for index, stride in enumerate(strides):
            after = config.channels * min(2**index, 8)
            normed = index > 0
            # Batch norm has a bias of its own; instance norm, which has none here, removes that of the convolution.
            bias = not (normed and config.norm == "batch")
            layers: list[nn.Module] = [nn.Conv2d(before, after, kernel, stride, padding, bias=bias)]
            if normed and config.norm == "instance":
                layers.append(InstanceNormAct2d(after, act="lrelu"))
            else:
                layers += [nn.BatchNorm2d(after)] if normed and config.norm == "batch" else []
                layers.append(nn.LeakyReLU(0.2, inplace=True))
            self.stages.append(nn.Sequential(*layers))
            before = after
        self.judge = nn.Conv2d(before, 1, kernel, 1, padding)
        self.apply(_initialise)

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Judge images `(B, C, H, W)`, or a tuple of such; the logits are `(B, 1, h, w)`."""
        hidden = torch.cat(sample, dim=1) if isinstance(sample, tuple) else sample
        features: list[Tensor] = []
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        return DiscriminatorOutput(self.judge(hidden), features=tuple(features))


def _check(config: PatchGAN, sample: SampleSpec, strided: int) -> None:
    shapes = [part.shape for part in parts(sample)]
    if any(len(shape) != 3 for shape in shapes) or len({shape[1:] for shape in shapes}) > 1:
        given = " and ".join(str(part) for part in parts(sample))
        raise BadInput(f"'patchgan' needs an image, or several of the same sides, not {given}")
    smallest = 3 * 2**strided if strided else 1 if config.norm != "instance" else 2
    if min(shapes[0][1:]) < smallest:
        field = config.receptive_field
        raise BadInput(
            f"a receptive field of {field} needs sides of at least {smallest}, not {min(shapes[0][1:])}",
            path=("receptive_field",),
            remedy="Choose a smaller receptive field or larger images.",
        )


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as the paper's section 6.2 says; batch norm scales from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
