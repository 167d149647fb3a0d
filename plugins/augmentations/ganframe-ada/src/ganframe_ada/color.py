"""The colour transformations as one matrix for each sample (appendix B, color transformations).

Axes: B batch, C channels, H height, W width. Colours are homogeneous (r, g, b, 1) in [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganframe_ada.random_parameters import RandomParameters


@dataclass(frozen=True)
class Color:
    """Parameters of the colour transformations, in this order; all are `(B,)`, with 0 for "not applied".

    Attributes:
        brightness: The number added to each channel.
        contrast: log2 of the factor of each channel.
        luma_flip: 1 mirrors the brightness and keeps hue and saturation.
        hue: Rotation about the grey axis, in radians.
        saturation: log2 of the factor of the distance from the grey axis.
    """

    brightness: Tensor
    contrast: Tensor
    luma_flip: Tensor
    hue: Tensor
    saturation: Tensor

    @classmethod
    def draw(cls, parameters: RandomParameters) -> Color:
        """Draw the parameters of all transformations."""
        return cls(
            brightness=parameters.normal(0.2),
            contrast=parameters.normal(0.5),
            luma_flip=parameters.integer(2),
            hue=parameters.uniform(-math.pi, math.pi),
            saturation=parameters.normal(1.0),
        )

    def matrix(self) -> Tensor:
        """Return the map from old to new colours, `(B, 4, 4)`."""
        device = self.hue.device
        identity, onto_grey = torch.eye(3, device=device), torch.full((3, 3), 1 / 3, device=device)
        # v x u for the grey axis v = (1, 1, 1) / sqrt(3).
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / math.sqrt(3)
        cosine, sine = _as_matrix(self.hue.cos()), _as_matrix(self.hue.sin())
        factor = _as_matrix(torch.exp2(self.saturation))
        linear = _as_matrix(torch.exp2(self.contrast)) * identity
        offset = torch.exp2(self.contrast) * self.brightness
        for step in (
            identity - 2 * _as_matrix(self.luma_flip) * onto_grey,
            cosine * identity + sine * cross + (1 - cosine) * onto_grey,
            factor * identity + (1 - factor) * onto_grey,
        ):
            linear = step @ linear
        # Of these steps only the luma flip changes a grey offset: it negates it.
        offset = (1 - 2 * self.luma_flip) * offset
        matrix = torch.eye(4, device=device).repeat(len(linear), 1, 1)
        matrix[:, :3, :3] = linear
        matrix[:, :3, 3] = offset[:, None]
        return matrix


def recolor(images: Tensor, matrix: Tensor) -> Tensor:
    """Apply the map to images `(B, C, H, W)`. One channel becomes three equal ones, whose mapped values are averaged.

    Args:
        images: The images, with 3 channels or 1.
        matrix: The map from old to new colours, `(B, 4, 4)`.
    """
    matrix = matrix.to(images.dtype)
    linear, offset = matrix[:, :3, :3], matrix[:, :3, 3:]
    if images.shape[1] == 1:
        linear, offset = linear.sum(dim=(1, 2), keepdim=True) / 3, offset.mean(dim=1, keepdim=True)
    return (linear @ images.flatten(2) + offset).reshape(images.shape)


def _as_matrix(numbers: Tensor) -> Tensor:
    return numbers[:, None, None]
