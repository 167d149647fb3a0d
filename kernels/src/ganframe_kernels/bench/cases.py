"""The timed operations, at the sizes of GANs, with the fewest bytes that each must move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels import ops

Inputs = tuple[Tensor | None, ...]

PASSES = ("forward", "backward", "double backward")


@dataclass(frozen=True)
class Case:
    """An operation at one size.

    Attributes:
        op: The operation.
        name: Distinguishes the case from the others of the operation.
        shape: Shape of the main input at full size.
        small: Shape of the main input where the kernels are only checked.
        inputs: Makes the inputs for a shape; the first is the main one.
        function: Calls the operation, in the namespace that is its first argument: `ganframe_kernels.ops`.
        passes: Fewest times that the main input's size is read or written: forward, backward, double backward; None
            where a pass is not timed.
        bound: The limit of the kernels: memory, the number of launches, or arithmetic.
        layouts: Layouts of the main input that make a difference.
        baseline: The function that eager PyTorch and the compiler run instead, where users write something else.
        nvidia: The same with NVIDIA's functions; None where they have no such operation.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    small: tuple[int, ...]
    inputs: Callable[[tuple[int, ...]], Sequence[Tensor | None]]
    function: Callable[..., Tensor]
    passes: tuple[float | None, float | None, float | None]
    bound: Literal["memory", "launches", "arithmetic"] = "memory"
    layouts: tuple[str, ...] = ("NCHW", "NHWC")
    baseline: Callable[..., Tensor] | None = None
    nvidia: Callable[..., Tensor] | None = None

    def make(self, shape: tuple[int, ...], dtype: torch.dtype, layout: str, device: torch.device) -> Inputs:
        """Draw random inputs that require gradients."""
        return tuple(
            None if x is None else _placed(x, dtype, layout, device).requires_grad_() for x in self.inputs(shape)
        )

    def call(self, *inputs: Tensor | None) -> Tensor:
        """Call this package's operation."""
        return self.function(ops, *inputs)


def _placed(x: Tensor, dtype: torch.dtype, layout: str, device: torch.device) -> Tensor:
    x = x.to(device=device, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last) if layout == "NHWC" and x.ndim == 4 else x


def _alone(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return (torch.randn(shape),)


def _with_bias(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.randn(shape[1])


def _with_residual(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.randn(shape)


def _with_styles(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.rand(shape[:2]) + 0.5, torch.randn(shape[:2])


def _after_convolution(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    n, c, h, w = shape
    return torch.randn(shape), torch.rand(n, c) + 0.5, torch.randn(n, 1, h, w), torch.randn(()), torch.randn(c)


def _before_the_next(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return *_after_convolution(shape), torch.rand(shape[:2]) + 0.5


def _with_weights(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    n, c = shape[:2]
    return torch.randn(shape), torch.randn(c, c, 3, 3) / (9 * c) ** 0.5, torch.rand(n, c) + 0.5


def _with_kernel(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    c = shape[1]
    return torch.randn(shape), torch.randn(c, c, 3, 3) / (9 * c) ** 0.5, torch.randn(c)


def _weights_and_styles(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    return torch.randn(shape), torch.rand(16, shape[1]) + 0.5


def _layers(shape: tuple[int, ...]) -> Sequence[Tensor | None]:
    layers, rows, columns = shape
    return torch.randn(shape), torch.randn(layers, rows), torch.randn(layers, columns)


_BLUR = ops.setup_filter([1, 3, 3, 1])
_LOW_PASS = ops.setup_filter([1, 3, 7, 13, 20, 26, 26, 20, 13, 7, 3, 1])
"""A filter with as many taps as in StyleGAN3."""


def _blurred(ops: Any, x: Tensor) -> Tensor:
    return ops.filter2d(x, _BLUR.to(x.device))


def _halved(ops: Any, x: Tensor) -> Tensor:
    return ops.downsample2d(x, _BLUR.to(x.device))


def _doubled(ops: Any, x: Tensor) -> Tensor:
    return ops.upsample2d(x, _BLUR.to(x.device))


def _halved_with_bias(ops: Any, x: Tensor, b: Tensor) -> Tensor:
    return ops.upfirdn2d_bias_act(x, _BLUR.to(x.device), b, down=2, padding=1, act="lrelu")


def _halved_then_bias(ops: Any, x: Tensor, b: Tensor) -> Tensor:
    return ops.bias_act(_halved(ops, x), b, act="lrelu")


def _halved_by_convolution(ops: Any, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return ops.bias_act(ops.conv2d_resample(x, w, _BLUR.to(x.device), down=2, padding=1), b, act="lrelu")


def _at_higher_resolution(ops: Any, x: Tensor, b: Tensor) -> Tensor:
    f = _LOW_PASS.to(x.device)
    return ops.filtered_lrelu(x, f, f, b, up=2, down=2, padding=11, clamp=256)


def _clamped(ops: Any, x: Tensor, b: Tensor) -> Tensor:
    return ops.bias_act(x, b, act="lrelu", clamp=256)


def _swish(ops: Any, x: Tensor, b: Tensor) -> Tensor:
    return ops.bias_act(x, b, act="swish")


def _epilogue(
    ops: Any,
    x: Tensor,
    demod: Tensor,
    noise: Tensor,
    strength: Tensor,
    bias: Tensor,
    next_style: Tensor | None = None,
) -> Tensor:
    return ops.modulated_epilogue(x, demod, noise.detach(), strength, bias, next_style, clamp=256)


def _epilogue_of_nvidia(
    ops: Any,
    x: Tensor,
    demod: Tensor,
    noise: Tensor,
    strength: Tensor,
    bias: Tensor,
    next_style: Tensor | None = None,
) -> Tensor:
    y = ops.fma(x, demod[:, :, None, None], noise.detach() * strength)
    y = ops.bias_act(y, bias, act="lrelu", clamp=256)
    return y if next_style is None else y * next_style[:, :, None, None]


def _convolution(ops: Any, x: Tensor, w: Tensor, s: Tensor) -> Tensor:
    return ops.modulated_conv2d(x, w, s, padding=1, fused_modconv=False)


def _naive_demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Compute 1 / norm of each sample's weights, as the paper writes it."""
    modulated = weight.float()[None] * styles.float()[:, None, :, None, None]
    return (modulated.square().sum([2, 3, 4]) + 1e-8).rsqrt()


def _sigmas(ops: Any, weights: Tensor, us: Tensor, vs: Tensor) -> Tensor:
    return ops.spectral_norm_sigma(*(list(x.unbind()) for x in (weights, us.detach(), vs.detach())))[0]


STYLEGAN2, SMALL = (32, 128, 128, 128), (1, 4, 8, 8)
"""Shape of a layer of StyleGAN2 at 128 x 128, and its shape where kernels are only checked."""

CYCLEGAN = (1, 256, 64, 64)
"""Shape in a residual block of CycleGAN at 256 x 256."""

FLAT = ("NCHW",)
"""The layout of inputs without channels, and of operations that read memory in order."""

CASES = (
    Case(
        "modulated_epilogue", "without the next style", STYLEGAN2, SMALL, _after_convolution, _epilogue, (2, 3, 5),
        nvidia=_epilogue_of_nvidia,
    ),
    Case(
        "modulated_epilogue", "with the next style", STYLEGAN2, SMALL, _before_the_next, _epilogue, (2, 3, 5),
        nvidia=_epilogue_of_nvidia,
    ),
    Case(
        "upfirdn2d_bias_act", "4x4 blur, down 2, lrelu", STYLEGAN2, (1, 2, 8, 8), _with_bias, _halved_with_bias,
        (1.25, 1.5, 1.5), nvidia=_halved_then_bias,
    ),
    Case(
        "upfirdn2d", "4x4 blur, down 2", STYLEGAN2, (1, 2, 8, 8), _alone, _halved, (1.25, 1.25, 1.25), nvidia=_halved,
    ),
    Case("upfirdn2d", "4x4 blur", STYLEGAN2, (1, 2, 8, 8), _alone, _blurred, (2, 2, 2), nvidia=_blurred),
    Case(
        "upfirdn2d", "4x4 blur, up 2", (32, 128, 64, 64), (1, 2, 4, 4), _alone, _doubled, (5, 5, 5), nvidia=_doubled,
    ),
    Case("bias_act", "lrelu, clamp", STYLEGAN2, SMALL, _with_bias, _clamped, (2, 3, 3), nvidia=_clamped),
    Case("bias_act", "swish", STYLEGAN2, SMALL, _with_bias, _swish, (2, 3, 5), nvidia=_swish),
    Case(
        "adain", "linear", STYLEGAN2, SMALL, _with_styles, lambda ops, x, a, b: ops.adain(x, a, b), (2, 3, 5),
    ),
    Case(
        "instance_norm_act", "lrelu", (16, 256, 64, 64), SMALL, _alone,
        lambda ops, x: ops.instance_norm_act(x, act="lrelu"), (2, 3, 5),
    ),
    Case(
        "instance_norm_act", "relu, reflect pad 1", CYCLEGAN, SMALL, _alone,
        lambda ops, x: ops.instance_norm_act(x, act="relu", padding=1), (2.1, 3.1, 5.1), "launches",
    ),
    Case(
        "instance_norm_act", "residual", (16, 256, 64, 64), SMALL, _with_residual,
        lambda ops, x, y: ops.instance_norm_act(x, residual=y), (3, 3, 5),
    ),
    Case(
        "filtered_lrelu", "12 taps, up 2, down 2", (8, 128, 128, 128), (1, 2, 7, 9), _with_bias, _at_higher_resolution,
        (2, 3, 3), "arithmetic", nvidia=_at_higher_resolution,
    ),
    Case("demodulation", "512 to 512, batch 16", (512, 512, 3, 3), (4, 3, 3, 3), _weights_and_styles,
        lambda ops, w, s: ops.demodulation(w, s), (1, 2, None), layouts=FLAT, baseline=_naive_demodulation,
    ),
    Case(
        "modulated_conv2d", "3x3, demodulated", STYLEGAN2, SMALL, _with_weights, _convolution, (2, 3, 5), "arithmetic",
    ),
    Case(
        "conv2d_resample", "3x3, down 2, bias, lrelu", STYLEGAN2, (1, 2, 8, 8), _with_kernel, _halved_by_convolution,
        (1.25, 1.5, 1.5), "arithmetic", nvidia=_halved_by_convolution,
    ),
    Case(
        "patch_loss", "bce", (16, 1, 30, 30), (2, 1, 5, 5), _alone, lambda ops, x: ops.patch_loss(x, True, "bce"),
        (1, 2, 3), "launches", FLAT,
    ),
    Case(
        "minibatch_stddev", "group 4", (32, 512, 4, 4), (4, 4, 2, 2), _alone, lambda ops, x: ops.minibatch_stddev(x),
        (2, 3, 5), "launches",
    ),
    Case(
        "pairwise_diversity", "images", (64, 3, 128, 128), (4, 3, 4, 4), _alone,
        lambda ops, x: ops.pairwise_diversity(x), (1, 2, 3), "launches", FLAT,
    ),
    Case(
        "gradient_norm", "images", (32, 3, 256, 256), (4, 3, 4, 4), _alone, lambda ops, x: ops.gradient_norm(x),
        (1, 2, 3), "launches", FLAT,
    ),
    Case(
        "spectral_norm_sigma", "16 layers, 1 iteration", (16, 256, 1024), (3, 4, 6), _layers, _sigmas, (1, 1, None),
        "launches", FLAT,
    ),
)  # fmt: skip
"""All cases, the most important first; `--op` selects among them."""
