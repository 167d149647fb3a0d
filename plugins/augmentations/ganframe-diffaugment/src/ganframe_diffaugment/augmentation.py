"""The live augmentation: draws the parameters of each sample and applies the policies in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ganframe.game import Sample, map_parts, sample_parts
from ganframe_diffaugment import Policy
from ganframe_diffaugment.transformations import brightness, contrast, cutout, saturation, translation

Transformation = Callable[[Tensor, Tensor], Tensor]
"""Maps images `(B, C, H, W)` and one draw for each image to changed images."""


class Augmentation(nn.Module):
    """T(x; theta) with parameters theta drawn anew for each sample of each batch.

    All parts of a tuple are changed by the same parameters.

    Args:
        policies: The changes, in order.
        translation_ratio: Largest shift, as a share of a side.
        cutout_ratio: Sides of the blank rectangle, as a share of the image's sides.

    References:
        Zhao et al. 2020, arXiv:2006.10738, section 3.2.
    """

    def __init__(self, policies: Sequence[Policy], translation_ratio: float, cutout_ratio: float) -> None:
        super().__init__()
        steps: dict[Policy, tuple[tuple[Transformation, int], ...]] = {
            "color": ((brightness, 1), (saturation, 1), (contrast, 1)),
            "translation": ((partial(translation, ratio=translation_ratio), 2),),
            "cutout": ((partial(cutout, ratio=cutout_ratio), 2),),
        }
        self.steps = [step for policy in policies for step in steps[policy]]

    def forward(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Return the augmented images, in their own dtype."""
        count = len(sample_parts(sample)[0])
        shapes = ((count,) if size == 1 else (count, size) for _, size in self.steps)
        draws = [torch.rand(shape, generator=generator, device=generator.device) for shape in shapes]

        def transform(images: Tensor) -> Tensor:
            for (transformation, _), draw in zip(self.steps, draws, strict=True):
                images = transformation(images, draw)
            return images

        return map_parts(sample, transform)
