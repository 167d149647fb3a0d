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


def _with_styles(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.rand(shape[:2]) + 0.5, torch.randn(shape[:2])


def _after_convolution(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    n, c, h, w = shape
    return (
        torch.randn(shape),
        torch.rand(n, c) + 0.5,
        torch.randn(n, 1, h, w),
        torch.randn(()),
        torch.randn(c),
        torch.rand(n, c) + 0.5,
    )


def _with_weights(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    n, c = shape[:2]
    return torch.randn(shape), torch.randn(c, c, 3, 3) / (9 * c) ** 0.5, torch.rand(n, c) + 0.5


_FILTER = ops.setup_filter([1, 3, 3, 1])


def _filtered(down: int = 1) -> Callable[[Tensor], Tensor]:
    return lambda x: ops.upfirdn2d(x, _FILTER.to(x.device), down=down, padding=1)


STYLEGAN2, SMALL = (32, 128, 128, 128), (1, 4, 8, 8)
"""A layer of StyleGAN2 at 128 x 128, and what it shrinks to where kernels are only checked."""

CYCLEGAN = (1, 256, 64, 64)
"""A residual block of CycleGAN at 256 x 256."""

CASES = (
    Case(
        "modulated_conv2d", "3x3, demodulated", STYLEGAN2, SMALL, _with_weights,
        lambda x, w, s: ops.modulated_conv2d(x, w, s, padding=1), (None, None, None),
    ),
    Case(
        "modulated_epilogue", "all, next style", STYLEGAN2, SMALL, _after_convolution,
        lambda x, d, n, k, b, s: ops.modulated_epilogue(x, d, n.detach(), k, b, s, clamp=256), (2, 3, 5),
    ),
    Case("upfirdn2d", "4x4 blur", STYLEGAN2, (1, 2, 8, 8), _alone, _filtered(), (2, 2, 2)),
    Case(
        "upfirdn2d", "4x4 blur, down 2", STYLEGAN2, (1, 2, 8, 8), _alone, _filtered(down=2), (1.25, 1.25, 1.25),
    ),
    Case("adain", "lrelu", STYLEGAN2, SMALL, _with_styles, lambda x, a, b: ops.adain(x, a, b, act="lrelu"), (2, 3, 5)),
    Case(
        "instance_norm_act", "relu, reflect pad 1", CYCLEGAN, SMALL, _alone,
        lambda x: ops.instance_norm_act(x, act="relu", padding=1), (2.1, 3.1, 5.1),
    ),
    Case(
        "instance_norm_act", "lrelu", (16, 256, 64, 64), SMALL, _alone,
        lambda x: ops.instance_norm_act(x, act="lrelu"), (2, 3, 5),
    ),
    Case(
        "bias_act", "lrelu, clamp", STYLEGAN2, SMALL, _with_bias,
        lambda x, b: ops.bias_act(x, b, act="lrelu", clamp=256), (2, 3, None),
    ),
    Case(
        "bias_act", "swish", STYLEGAN2, SMALL, _with_bias, lambda x, b: ops.bias_act(x, b, act="swish"), (2, 3, 5),
    ),
    Case(
        "patch_loss", "bce", (16, 1, 30, 30), (2, 1, 5, 5), _alone,
        lambda x: ops.patch_loss(x, True, "bce"), (1, 2, 3),
    ),
    Case(
        "minibatch_stddev", "group 4", (32, 512, 4, 4), (4, 4, 2, 2), _alone, ops.minibatch_stddev, (2, 3, None),
    ),
    Case(
        "pairwise_diversity", "images", (64, 3, 128, 128), (4, 3, 4, 4), _alone, ops.pairwise_diversity, (1, 2, 3),
    ),
    Case("gradient_norm", "images", (32, 3, 256, 256), (4, 3, 4, 4), _alone, ops.gradient_norm, (1, 2, 3)),
)  # fmt: skip
"""Every case; `--op` chooses among them."""
