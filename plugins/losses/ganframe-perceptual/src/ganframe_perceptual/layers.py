"""The layers of VGG: table 1 of Simonyan and Zisserman 2015, without torch."""

from __future__ import annotations

from dataclasses import dataclass

BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions in each block, by depth; a max pool ends each block."""
CHANNELS = (64, 128, 256, 512, 512)
"""Number of channels of each block."""


@dataclass(frozen=True)
class Convolution:
    """A 3 x 3 convolution with a ReLU behind it.

    Attributes:
        name: Name of the activation: `reluB_K`.
        index: Position among torchvision's `features`, which count convolutions, ReLUs and pools.
        inputs: Number of input channels.
        outputs: Number of output channels.
        pooled: Whether a max pool comes before this convolution.
    """

    name: str
    index: int
    inputs: int
    outputs: int
    pooled: bool


def convolutions(depth: int) -> list[Convolution]:
    """Return all convolutions, input side first."""
    found: list[Convolution] = []
    index, inputs = 0, 3
    for block, (count, outputs) in enumerate(zip(BLOCKS[depth], CHANNELS, strict=True), start=1):
        for number in range(1, count + 1):
            pooled = block > 1 and number == 1
            found.append(Convolution(f"relu{block}_{number}", index, inputs, outputs, pooled))
            index, inputs = index + 2, outputs
        index += 1
    return found


def position(depth: int, name: str) -> int | None:
    """Return the number of the convolution of a layer, counted from 0; None when there is no such layer."""
    names = [convolution.name for convolution in convolutions(depth)]
    return names.index(name) if name in names else None
