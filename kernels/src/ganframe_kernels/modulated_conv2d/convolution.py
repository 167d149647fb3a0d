"""The convolution inside modulated_conv2d, with optional resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Resampling:
    """The sampling of a convolution's input and output; see `modulated_conv2d`."""

    up: int
    down: int
    padding: int | Sequence[int]
    filter: Tensor | None
    flip_weight: bool

    def plain_padding(self) -> tuple[int, int] | None:
        """Return the padding (height, width) if nothing is resampled and opposite sides are equal, otherwise None."""
        match [self.padding] if isinstance(self.padding, int) else list(self.padding):
            case [p]:
                left = right = top = bottom = p
            case [x, y]:
                left = right = x
                top = bottom = y
            case _ as sides:
                left, right, top, bottom = sides
        plain = self.up == self.down == 1 and left == right >= 0 and top == bottom >= 0
        return (top, left) if plain else None


def convolve(x: Tensor, weight: Tensor, resampling: Resampling, groups: int = 1) -> Tensor:
    """Convolve x of shape (N, groups * I, H, W) with weights of shape (groups * O, I, h, w)."""
    padding = resampling.plain_padding()
    if padding is not None:
        weight = weight if resampling.flip_weight else weight.flip([2, 3])
        return F.conv2d(x, weight, padding=padding, groups=groups)
    from ganframe_kernels.conv2d_resample import conv2d_resample  # a plain convolution does without it

    return conv2d_resample(
        x,
        weight,
        f=resampling.filter,
        up=resampling.up,
        down=resampling.down,
        padding=resampling.padding,
        groups=groups,
        flip_weight=resampling.flip_weight,
    )
