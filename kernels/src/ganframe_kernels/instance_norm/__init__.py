"""Instance norm, affine map, activation, residual sum and reflection padding in one pass, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.bias_act.reference import ACTIVATIONS
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_rank, check_shape, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.instance_norm import reference
from ganframe_kernels.instance_norm.shapes import padded, statistics
from ganframe_kernels.layout import dense

__all__ = ["ACTIVATIONS", "InstanceNormAct2d", "instance_norm_act", "norm_act"]


def instance_norm_act(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    act: str = "linear",
    alpha: float = 0.2,
    eps: float = 1e-5,
    padding: int = 0,
) -> Tensor:
    """Compute `pad(act(weight * xhat + bias) + residual)`, where xhat is x normalized over each plane.

    Instance norm is that of Ulyanov et al. 2016 (arXiv:1607.08022): `xhat = (x - mean) / sqrt(var + eps)`, with the
    mean and the biased variance of each sample and channel over H and W. The activation comes before the residual sum,
    and the padding last, for the convolution that follows. The arguments for the usual blocks:

    - CycleGAN (Zhu et al. 2017, arXiv:1703.10593), inside a residual block: `act="relu", padding=1`, then the second
      convolution without padding; at its end: `residual=`, the block's input, with `act="linear"`, and `padding=1`
      where another block follows. The residual of that block is the result without its border, `y[..., 1:-1, 1:-1]`:
      this view is read where it is. Before the last, 7x7 convolution: `padding=3`.
    - PatchGAN (Isola et al. 2017, arXiv:1611.07004), after the strided convolutions: `act="lrelu"`. They pad with zeros
      themselves.

    A plane of one pixel has variance 0: its result is `act(bias)`, and its gradient is 0.

    Args:
        x: (N, C, H, W), H and W at least 1, in any layout. The result has its dtype, and its layout where that is
            channels_last; contiguous otherwise.
        weight: (C,), in any floating dtype, or None for 1.
        bias: As weight, or None for 0.
        residual: As x, in any layout and floating dtype, or None for 0.
        act: One of ACTIVATIONS: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish; without gain.
        alpha: Slope of lrelu below zero, at least 0; the other activations ignore it.
        eps: Added to the variance; above 0.
        padding: Pixels of reflection on each side, at least 0 and below H and W.

    Returns:
        (N, C, H + 2 * padding, W + 2 * padding).

    Raises:
        TypeError: A tensor is not floating.
        ValueError: A shape or device does not fit x, or an option is out of its range.
    """
    check_floating("x", x)
    check_rank("x", x, "NCHW")
    for name, a in (("weight", weight), ("bias", bias)):
        if a is not None:
            check_floating(name, a)
            check_shape(name, a, (x.shape[1],))
            check_device(name, a, x.device)
    return norm_act(x, weight, bias, residual, act, alpha, eps, padding)


class InstanceNormAct2d(nn.InstanceNorm2d):
    """The layer of `instance_norm_act`, a replacement for nn.InstanceNorm2d with the same parameters and state dict.

    It normalizes each plane in training and in evaluation: there are no running statistics.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = False,
        act: str = "linear",
        alpha: float = 0.2,
        padding: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Create the layer.

        Args:
            num_features: Channels of the input.
            eps: See `instance_norm_act`, as act, alpha and padding.
            affine: Whether to learn `weight` and `bias`, which are initialised to 1 and 0.
            act: The activation.
            alpha: Slope of lrelu below zero.
            padding: Pixels of reflection on each side of the result.
            device: Device of the parameters.
            dtype: Dtype of the parameters.
        """
        super().__init__(num_features, eps, affine=affine, device=device, dtype=dtype)
        self.act = act
        self.alpha = alpha
        self.padding = padding

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """Apply `instance_norm_act` to (N, num_features, H, W), and to a residual of this shape or None."""
        check_floating("input", input)
        check_rank("input", input, "NCHW")
        if input.shape[1] != self.num_features:
            raise value_error("input", f"{self.num_features} channels", f"shape {tuple(input.shape)}")
        return instance_norm_act(input, self.weight, self.bias, residual, self.act, self.alpha, self.eps, self.padding)

    def extra_repr(self) -> str:
        """Return the options, for print."""
        return (
            f"{self.num_features}, eps={self.eps}, affine={self.affine}, act={self.act!r}, alpha={self.alpha}, "
            f"padding={self.padding}"
        )


def norm_act(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> Tensor:
    """Run instance_norm_act or adain, which document the arguments; scale and shift, checked, are (C,) or (N, C)."""
    if not x.shape[2:].numel():
        raise value_error("x", "planes of at least one pixel", f"shape {tuple(x.shape)}")
    if residual is not None:
        check_floating("residual", residual)
        check_shape("residual", residual, tuple(x.shape))
        check_device("residual", residual, x.device)
        residual = residual.to(x.dtype)
    check_choice("act", act, ACTIVATIONS)
    if alpha < 0:
        raise value_error("alpha", "a slope of at least 0", alpha)
    if eps <= 0:
        raise value_error("eps", "a number above 0", eps)
    if not 0 <= padding < min(x.shape[2:]) and padding != 0:
        raise value_error("padding", f"0 to {min(x.shape[2:]) - 1}, for planes of {tuple(x.shape[2:])}", padding)
    options = (act, float(alpha), float(eps), padding)
    if not use_triton(x, "instance_norm"):
        return reference.norm_act(x, scale, shift, residual, *options)
    return fwd(dense(x), scale, shift, residual, *options)[0]


# The operators. x is dense; the residual keeps its strides, other tensors are converted to the layout of x. Absent
# gradients are empty tensors. Only the third order uses eps: the orders below it get the statistics.


def _present(a: Tensor | None, grad: Tensor | None) -> Tensor | None:
    """Return the gradient, or None where `a` is absent."""
    return None if a is None else grad


def _bwdbwd_fake(
    v: Tensor, vscale: object, vshift: object, vresidual: object, dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor,
    scale: Tensor | None, shift: Tensor | None, act: str, alpha: float, eps: float, padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return padded(x, padding), torch.empty_like(x), *_affine_fake(x, scale, shift)


def _affine_fake(x: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor, Tensor]:
    return (
        x.new_empty(0) if scale is None else scale.new_empty(scale.shape),
        x.new_empty(0) if shift is None else shift.new_empty(shift.shape),
    )


def _bwdbwd_save(ctx: Any, output: object, *arguments: Any) -> Grads:
    # The reference, which is differentiated, computes the statistics itself.
    *tensors, _mean, _rstd, scale, shift, _, _, _, _ = arguments
    return *tensors, scale, shift


def _bwdbwd_backward(ctx: Any, gdy: Tensor | None, gx: Tensor | None, *gaffine: Tensor | None) -> Grads:
    scale, shift = ctx.saved_tensors[-2:]
    grads = (gdy, gx, _present(scale, gaffine[0]), _present(shift, gaffine[1]))

    def function(*tensors: Any) -> Any:
        return reference.bwdbwd(*tensors, *ctx.options)

    *found, dscale, dshift = vjp(function, ctx.saved_tensors, grads)
    return *found, None, None, dscale, dshift


@operator(
    "ganframe_kernels::instance_norm_bwdbwd",
    fake=_bwdbwd_fake,
    backward=_bwdbwd_backward,
    save=_bwdbwd_save,
    materialize_grads=False,
)
def bwdbwd(
    v: Tensor,
    vscale: Tensor | None,
    vshift: Tensor | None,
    vresidual: Tensor | None,
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients by dy, x, scale and shift of the sum of the gradients of `bwd`, each times its v."""
    from ganframe_kernels.instance_norm import kernels  # needs Triton

    return kernels.bwdbwd(v, vscale, vshift, vresidual, dy, x, mean, rstd, scale, shift, act, alpha, eps, padding)


def _bwd_fake(
    dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, scale: Tensor | None, shift: Tensor | None, folds: bool,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return torch.empty_like(x), *_affine_fake(x, scale, shift), torch.empty_like(x) if folds else x.new_empty(0)


def _bwd_backward(
    ctx: Any, v: Tensor | None, vscale: Tensor | None, vshift: Tensor | None, vresidual: Tensor | None
) -> Grads:
    dy, x, mean, rstd, scale, shift = ctx.saved_tensors
    folds, *options = ctx.options
    vscale, vshift = _present(scale, vscale), _present(shift, vshift)
    ddy, dx, dscale, dshift = bwdbwd(
        torch.zeros_like(x) if v is None else v, vscale, vshift, vresidual if folds else None,
        dy, x, mean, rstd, scale, shift, *options,
    )  # fmt: skip
    return ddy, dx, None, None, _present(scale, dscale), _present(shift, dshift)


@operator("ganframe_kernels::instance_norm_bwd", fake=_bwd_fake, backward=_bwd_backward, materialize_grads=False)
def bwd(
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    folds: bool,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of sum(dy * y) by x, scale, shift and, with `folds`, the residual; else that one is dy."""
    from ganframe_kernels.instance_norm import kernels  # needs Triton

    return kernels.bwd(dy, x, mean, rstd, scale, shift, folds, act, alpha, eps, padding)


def _fwd_fake(
    x: Tensor, scale: object, shift: object, residual: object, act: str, alpha: float, eps: float, padding: int
) -> tuple[Tensor, Tensor, Tensor]:
    return padded(x, padding), *statistics(x)


def _fwd_save(
    ctx: Any,
    output: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    *_: object,
) -> Grads:
    mean, rstd = output[1:]
    # The gradient by x includes that through the statistics.
    ctx.mark_non_differentiable(mean, rstd)
    ctx.has_residual = residual is not None
    return x, mean, rstd, scale, shift


def _fwd_backward(ctx: Any, dy: Tensor, *_: object) -> Grads:
    x, mean, rstd, scale, shift = ctx.saved_tensors
    padding = ctx.options[-1]
    folds = ctx.has_residual and padding > 0
    dx, dscale, dshift, dresidual = bwd(dy, x, mean, rstd, scale, shift, folds, *ctx.options)
    if ctx.has_residual and not folds:
        dresidual = dy
    return dx, _present(scale, dscale), _present(shift, dshift), dresidual if ctx.has_residual else None


@operator("ganframe_kernels::instance_norm_fwd", fake=_fwd_fake, backward=_fwd_backward, save=_fwd_save)
def fwd(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    act: str,
    alpha: float,
    eps: float,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run `norm_act`; return also the mean and reciprocal standard deviation of each plane, (N, C)."""
    from ganframe_kernels.instance_norm import kernels  # needs Triton

    return kernels.fwd(x, scale, shift, residual, act, alpha, eps, padding)
