"""The geometric transformations as one matrix for each sample (appendix B, pixel blitting and general geometric).

Axes: B batch. Coordinates are homogeneous (x, y, 1) in pixels from the centre of the image, x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from ganframe_ada import Group
from ganframe_ada.random_parameters import RandomParameters


@dataclass(frozen=True)
class Geometry:
    """Parameters of the geometric transformations, in this order, with 0 for a sample to which one is not applied.

    Attributes:
        mirror: `(B,)`, 1 swaps left and right.
        quarters: `(B,)`, number of clockwise quarter turns.
        shift: `(B, 2)`, a shift by whole pixels: to the right as a share of the width, down as a share of the height.
        scale: `(B,)`, log2 of the factor of both axes.
        first_angle: `(B,)`, a clockwise rotation, in radians.
        stretch: `(B,)`, log2 of the factor of x; y is scaled by the inverse factor.
        second_angle: `(B,)`, another clockwise rotation, in radians.
        fraction: `(B, 2)`, a shift like `shift`, but not rounded to pixels.
    """

    mirror: Tensor
    quarters: Tensor
    shift: Tensor
    scale: Tensor
    first_angle: Tensor
    stretch: Tensor
    second_angle: Tensor
    fraction: Tensor

    @classmethod
    def draw(cls, parameters: RandomParameters, groups: Collection[Group]) -> Geometry:
        """Draw the parameters of the transformations in these groups; those of the others are 0."""
        pixels, general = parameters.only_if("blit" in groups), parameters.only_if("geometry" in groups)
        # Two rotations with the probability 1 - sqrt(1 - p) each; the probability of any is p.
        rotation = general.with_p(1 - (1 - general.p).sqrt())
        return cls(
            mirror=pixels.integer(2),
            quarters=pixels.integer(4),
            shift=pixels.uniform(-1 / 8, 1 / 8, 2),
            scale=general.normal(0.2),
            first_angle=rotation.uniform(-math.pi, math.pi),
            stretch=general.normal(0.2),
            second_angle=rotation.uniform(-math.pi, math.pi),
            fraction=general.normal(1 / 8, 2),
        )

    def inverse(self, height: int, width: int) -> Tensor:
        """Return the map from new to old coordinates, `(B, 3, 3)`."""
        sides = torch.tensor([width, height], device=self.shift.device)
        quarter = self.quarters.long() % 4
        # Exact, unlike cos and sin.
        sine = torch.tensor([0.0, 1.0, 0.0, -1.0], device=quarter.device)[quarter]
        cosine = torch.tensor([1.0, 0.0, -1.0, 0.0], device=quarter.device)[quarter]
        steps = (
            _scale(1 - 2 * self.mirror, torch.ones_like(self.mirror)),
            _rotation(cosine, -sine),
            _translation(-(self.shift * sides).round()),
            _scale(torch.exp2(-self.scale), torch.exp2(-self.scale)),
            _rotation(self.first_angle.cos(), -self.first_angle.sin()),
            _scale(torch.exp2(-self.stretch), torch.exp2(self.stretch)),
            _rotation(self.second_angle.cos(), -self.second_angle.sin()),
            _translation(-self.fraction * sides),
        )
        inverse = steps[0]
        for step in steps[1:]:
            inverse = inverse @ step
        return inverse


def _scale(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=-1))


def _rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    matrix = _scale(cosine, cosine)
    matrix[:, 0, 1] = -sine
    matrix[:, 1, 0] = sine
    return matrix


def _translation(by: Tensor) -> Tensor:
    ones = torch.ones_like(by[:, 0])
    matrix = _scale(ones, ones)
    matrix[:, :2, 2] = by
    return matrix
