"""The PatchGAN discriminator.

With n layers that halve the resolution, an image of H x W pixels has (H / 2^n - 2) x (W / 2^n - 2) logits. With 64
channels and a receptive field of 70 (n = 3) the network has 2,768,705 parameters for 6 image channels and batch norm,
and 2,764,737 for 3 image channels and instance norm.
"""

from __future__ import annotations

import torch
from ganframe_kernels.instance_norm import InstanceNormAct2d
from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, parts
from ganframe.game import DiscriminatorOutput, Sample, init_normal
from ganframe_patchgan import PatchGAN

STRIDED = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Number of layers that halve the resolution, by receptive field in pixels."""


class Discriminator(nn.Module):
    """Maps an image, or several joined along the channels, to a logit for each patch.

    Args:
        config: Receptive field, width and norm.
        sample: One image, or several of the same height and width.

    Raises:
        BadInput: When a part is not an image, or when the parts differ in height or width or are too small for one
            patch.

    References:
        Isola et al. 2017, arXiv:1611.07004, sections 3.2.2 and 6.1.2.
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
            # Batch norm has its own bias; instance norm has none here and removes the bias of the convolution.
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
        self.apply(init_normal)  # section 6.2

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return logits `(B, 1, h, w)` and features for images `(B, C, H, W)`, or for a tuple of them."""
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
