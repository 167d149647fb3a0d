"""The layers of Inception-v3 as data: Szegedy et al. 2016, table 1 and figures 5 to 7 and 10, without torch.

Names are those of the field's files of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Convolution:
    """A convolution without bias, batch norm and ReLU.

    Attributes:
        name: Name in the files of weights.
        outputs: Number of output channels.
        kernel: Height and width of the kernel.
        stride: Stride in both directions.
        padded: Whether borders are padded with zeros so that stride 1 keeps the size.
    """

    name: str
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


Fork = tuple[Convolution, Convolution]
"""Two convolutions of the same input, whose outputs are concatenated."""
Branch = tuple[Convolution | Fork, ...]
"""Convolutions one after the other."""
Pool = Literal["average", "max", "halve"]
"""The pool over 3 x 3 of a block: `average` does not count padding, `halve` is a max pool with stride 2."""


@dataclass(frozen=True)
class Block:
    """Branches of one input whose outputs are concatenated, the pool's last.

    Attributes:
        name: Name in the files of weights.
        branches: The branches of convolutions.
        pool: The pool of the last branch.
        pool_outputs: Channels of the convolution after the pool; None for no convolution.
    """

    name: str
    branches: tuple[Branch, ...]
    pool: Pool
    pool_outputs: int | None


def _grid_35(name: str, pool_outputs: int) -> Block:
    """Return a block on 35 x 35 (figure 5; its second branch has one 5 x 5, as the published weights have)."""
    return Block(
        name,
        (
            (Convolution("branch1x1", 64),),
            (Convolution("branch5x5_1", 48), Convolution("branch5x5_2", 64, (5, 5))),
            (
                Convolution("branch3x3dbl_1", 64),
                Convolution("branch3x3dbl_2", 96, (3, 3)),
                Convolution("branch3x3dbl_3", 96, (3, 3)),
            ),
        ),
        "average",
        pool_outputs,
    )


def _grid_17(name: str, inner: int) -> Block:
    """Return a block on 17 x 17 (figure 6, n = 7), with `inner` channels inside."""
    across, down = (1, 7), (7, 1)
    return Block(
        name,
        (
            (Convolution("branch1x1", 192),),
            (
                Convolution("branch7x7_1", inner),
                Convolution("branch7x7_2", inner, across),
                Convolution("branch7x7_3", 192, down),
            ),
            (
                Convolution("branch7x7dbl_1", inner),
                Convolution("branch7x7dbl_2", inner, down),
                Convolution("branch7x7dbl_3", inner, across),
                Convolution("branch7x7dbl_4", inner, down),
                Convolution("branch7x7dbl_5", 192, across),
            ),
        ),
        "average",
        192,
    )


def _grid_8(name: str, pool: Pool) -> Block:
    """Return a block on 8 x 8 (figure 7)."""

    def fork(stem: str) -> Fork:
        return Convolution(f"{stem}a", 384, (1, 3)), Convolution(f"{stem}b", 384, (3, 1))

    return Block(
        name,
        (
            (Convolution("branch1x1", 320),),
            (Convolution("branch3x3_1", 384), fork("branch3x3_2")),
            (Convolution("branch3x3dbl_1", 448), Convolution("branch3x3dbl_2", 384, (3, 3)), fork("branch3x3dbl_3")),
        ),
        pool,
        192,
    )


STEM_1 = (
    Convolution("Conv2d_1a_3x3", 32, (3, 3), stride=2, padded=False),
    Convolution("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Convolution("Conv2d_2b_3x3", 64, (3, 3)),
)
"""The convolutions before the first max pool."""
STEM_2 = (Convolution("Conv2d_3b_1x1", 80), Convolution("Conv2d_4a_3x3", 192, (3, 3), padded=False))
"""The convolutions between the first and the second max pool."""
BLOCKS = (
    _grid_35("Mixed_5b", 32),
    _grid_35("Mixed_5c", 64),
    _grid_35("Mixed_5d", 64),
    Block(
        "Mixed_6a",
        (
            (Convolution("branch3x3", 384, (3, 3), stride=2, padded=False),),
            (
                Convolution("branch3x3dbl_1", 64),
                Convolution("branch3x3dbl_2", 96, (3, 3)),
                Convolution("branch3x3dbl_3", 96, (3, 3), stride=2, padded=False),
            ),
        ),
        "halve",
        None,
    ),
    _grid_17("Mixed_6b", 128),
    _grid_17("Mixed_6c", 160),
    _grid_17("Mixed_6d", 160),
    _grid_17("Mixed_6e", 192),
    Block(
        "Mixed_7a",
        (
            (Convolution("branch3x3_1", 192), Convolution("branch3x3_2", 320, (3, 3), stride=2, padded=False)),
            (
                Convolution("branch7x7x3_1", 192),
                Convolution("branch7x7x3_2", 192, (1, 7)),
                Convolution("branch7x7x3_3", 192, (7, 1)),
                Convolution("branch7x7x3_4", 192, (3, 3), stride=2, padded=False),
            ),
        ),
        "halve",
        None,
    ),
    _grid_8("Mixed_7b", "average"),
    _grid_8("Mixed_7c", "max"),
)
"""The blocks after the second max pool. The max pool in the last one is a quirk of the published graph."""
EPSILON = 1e-3
"""The constant that batch norm adds to variances."""
FEATURES = 2048
"""Number of channels of the last block."""
CLASSES = 1008
"""Number of outputs; TensorFlow's graph has 1008 for the 1000 classes of ImageNet."""
SIDE = 299
"""Height and width to which images are resized, in pixels."""
