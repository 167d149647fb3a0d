"""Options and shapes of filtered_lrelu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Options(NamedTuple):
    """The options of filtered_lrelu, with defaults filled in."""

    up: int
    down: int
    padding: Sequence[int]
    flip_filter: bool
    gain: float
    slope: float
    clamp: float | None


def high_shape(x: Tensor, fu: Tensor, options: Options) -> tuple[int, int]:
    """Return the height and width between the filters."""
    left, right, top, bottom = options.padding
    height, width = (options.up * side + 1 - fu.shape[0] for side in x.shape[2:])
    return height + top + bottom, width + left + right


def result_shape(x: Tensor, fu: Tensor, fd: Tensor, options: Options) -> tuple[int, int, int, int]:
    """Return the shape of the result for separable filters."""
    height, width = ((side - fd.shape[0]) // options.down + 1 for side in high_shape(x, fu, options))
    return x.shape[0], x.shape[1], height, width
