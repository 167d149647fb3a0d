"""The live augmentation: draws the parameters of each sample and applies the policies in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganframe_diffaugment import Policy
from ganframe_diffaugment.transformations import brightness, contrast, cutout, saturation, translation

if TYPE_CHECKING:
    from ganframe.game import Sample

Transformation = Callable[[Tensor, Tensor], Tensor]


class Augmentation(nn.Module):
    """T(x; theta) with parameters theta drawn anew for each sample of each batch.

    All parts of a tuple are changed by the same parameters.

    Args:
        policies: What is done, in order.
        translation_ratio: Longest shift, as a share of a side.
        cutout_ratio: Sides of the blank rectangle, as a share of the image's.
    """

    def __init__(self, policies: Sequence[Policy], translation_ratio: float, cutout_ratio: float) -> None:
        super().__init__()
        of: dict[Policy, tuple[tuple[Transformation, int], ...]] = {
            "color": ((brightness, 1), (saturation, 1), (contrast, 1)),
            "translation": ((partial(translation, ratio=translation_ratio), 2),),
            "cutout": ((partial(cutout, ratio=cutout_ratio), 2),),
        }
        self.steps = [step for policy in policies for step in of[policy]]

    def forward(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The images as the discriminator is to see them, in their own dtype."""
        parts = sample if isinstance(sample, tuple) else (sample,)
        for transform, size in self.steps:
            shape = (len(parts[0]),) if size == 1 else (len(parts[0]), size)
            draw = torch.rand(shape, generator=generator, device=generator.device)
            parts = tuple(transform(part, draw) for part in parts)
        return parts if isinstance(sample, tuple) else parts[0]
