"""What is timed: operations at the sizes that GANs have, with the fewest bytes that each must move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganframe_kernels import ops

Inputs = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    Attributes:
        op: The operation.
        name: What distinguishes the case from the others of the operation.
        shape: Shape of the main input at full size.
        small: Shape of the main input where it is only checked.
        inputs: Makes the inputs for a shape; the first is the main one.
        function: Calls the operation.
        passes: Fewest times that the main input's size is read or written: forward, backward, double backward; None
            where a pass is not timed.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    small: tuple[int, ...]
    inputs: Callable[[tuple[int, ...]], Sequence[Tensor | None]]
    function: Callable[..., Tensor]
    passes: tuple[float | None, float | None, float | None]

    def make(self, shape: tuple[int, ...], dtype: torch.dtype, layout: str, device: torch.device) -> Inputs:
        """Fresh random inputs that take gradients."""
        return tuple(
            None if each is None else _placed(each, dtype, layout, device).requires_grad_()
            for each in self.inputs(shape)
        )


def _placed(x: Tensor, dtype: torch.dtype, layout: str, device: torch.device) -> Tensor:
    x = x.to(device=device, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last) if layout == "NHWC" and x.ndim == 4 else x


def _alone(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return (torch.randn(shape),)


def _with_bias(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.randn(shape[1])


_FILTER = ops.setup_filter([1, 3, 3, 1])


def _filtered(**settings: int) -> Callable[[Tensor], Tensor]:
    return lambda x: ops.upfirdn2d(x, _FILTER.to(x.device), padding=1, **settings)


CASES = (
    Case(
        "bias_act", "lrelu, clamp", (32, 128, 128, 128), (1, 4, 8, 8), _with_bias,
        lambda x, b: ops.bias_act(x, b, act="lrelu", clamp=256), (2, 3, None),
    ),
    Case(
        "bias_act", "swish", (32, 128, 128, 128), (1, 4, 8, 8), _with_bias,
        lambda x, b: ops.bias_act(x, b, act="swish"), (2, 3, 5),
    ),
    Case("upfirdn2d", "4x4 blur", (32, 128, 128, 128), (1, 2, 8, 8), _alone, _filtered(), (2, 2, 2)),
    Case(
        "upfirdn2d", "4x4 blur, down 2", (32, 128, 128, 128), (1, 2, 8, 8), _alone, _filtered(down=2),
        (1.25, 1.25, 1.25),
    ),
)  # fmt: skip
"""Every case; `--op` chooses among them."""
