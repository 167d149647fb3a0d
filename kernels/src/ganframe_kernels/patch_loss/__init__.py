"""Adversarial losses over a map of raw scores in one kernel, with gradients of every order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from ganframe_kernels.autograd import Grads, operator, vjp
from ganframe_kernels.checks import check_choice, check_device, check_floating, check_shape, value_error
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.layout import dense
from ganframe_kernels.patch_loss import reference
from ganframe_kernels.patch_loss.reference import KINDS
from ganframe_kernels.precision import compute_dtype

__all__ = ["KINDS", "patch_loss", "receptive_field"]


def patch_loss(
    logits: Tensor,
    real: bool,
    kind: str,
    target: Tensor | None = None,
    other: Tensor | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Compute the loss of raw outputs C of a discriminator: logits in nats for `bce`, without a sigmoid in all kinds.

    | kind | real=True | real=False | the generator's loss on its fakes |
    |---|---|---|---|
    | `bce` | softplus(-C) = -log D | softplus(C) = -log(1 - D) | real=True (Goodfellow et al. 2014, section 3) |
    | `minimax_generator` | -softplus(C) = log(1 - D) | -softplus(-C) | real=True (same, eq. 1) |
    | `least_squares` | (C - 1)^2 / 2 | C^2 / 2 | real=True (Mao et al. 2017, arXiv:1611.04076, eq. 9) |
    | `hinge` | max(0, 1 - C) | max(0, 1 + C) | `hinge_generator` (Miyato et al. 2018, arXiv:1802.05957) |
    | `hinge_generator`, `wasserstein` | -C | C | real=True (Arjovsky et al. 2017, arXiv:1701.07875) |
    | `relativistic` | softplus(other - C) | softplus(C - other) | real=True, C of fakes, other of reals |

    The relativistic kind compares pairs (Jolicoeur-Martineau 2018, arXiv:1807.00734): for the discriminator C is of the
    reals and `other` of the fakes. The losses are finite for finite logits whose square float32 can hold.

    Args:
        logits: Raw outputs (N, ...), a sample's scores in any shape and layout.
        real: Whether the samples are to be classified as real.
        kind: One of KINDS, see above.
        target: (N,), in any floating dtype: replaces `real`; the loss of each score of sample n is
            `t real_loss + (1 - t) fake_loss` with t = target[n]: soft, noisy or flipped labels.
        other: For the relativistic kind, and only there: the scores to compare the logits with, of the same shape.
        reduction: `mean` or `sum` over all scores, or `none`. The mean of no scores is nan.

    Returns:
        A scalar, or for `none` a tensor of the shape of the logits: float64 for float64, float32 for all others,
        since losses may leave the range of the half types. Gradients have the dtypes of their tensors.

    Raises:
        TypeError: logits, target or other is not a floating tensor.
        ValueError: A shape, a device or an option is wrong, or `other` is missing or not allowed.
    """
    check_floating("logits", logits)
    if logits.ndim == 0:
        raise value_error("logits", "at least 1 dimension (N, ...)", "shape ()")
    check_choice("kind", kind, KINDS)
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    if target is not None:
        check_floating("target", target)
        check_shape("target", target, (logits.shape[0],))
        check_device("target", target, logits.device)
    if (other is not None) != (kind == "relativistic"):
        raise value_error("other", f"{'a tensor' if other is None else 'None'} for kind={kind!r}", type(other).__name__)
    if other is not None:
        check_floating("other", other)
        check_shape("other", other, tuple(logits.shape))
        check_device("other", other, logits.device)
    options = (bool(real), kind, reduction)
    # The kernels have no gradient by the target, since label policies do not learn it, and their offsets are int32.
    learned = target is not None and target.requires_grad
    if learned or logits.numel() >= 2**31 or not use_triton(logits, "patch_loss"):
        return reference.patch_loss(logits, other, target, *options)
    return fwd(dense(logits), other, None if target is None else target.contiguous(), *options)


def receptive_field(layers: Iterable[tuple[int, int]]) -> int:
    """Return the side, in pixels, of the input patch that one output of a stack of convolutions sees.

    Args:
        layers: (kernel, stride) of each convolution or pooling, from the input to the output, each at least 1.

    Raises:
        ValueError: A kernel or a stride is below 1.
    """
    size, step = 1, 1
    for kernel, stride in layers:
        if kernel < 1 or stride < 1:
            raise value_error("layers", "pairs (kernel, stride) of at least 1", (kernel, stride))
        size += (kernel - 1) * step
        step *= stride
    return size


# The operators. logits are dense; other tensors of their shape are converted to their layout.


def _bwdbwd_fake(v: Tensor, g: Tensor, logits: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    like = logits if g.ndim else g
    return torch.empty_like(like, dtype=compute_dtype(logits.dtype)), torch.empty_like(logits)


def _bwdbwd_backward(ctx: Any, *grads: Tensor) -> Grads:
    v, g, logits, other, target = ctx.saved_tensors

    def function(v: Tensor, g: Tensor, logits: Tensor, other: Tensor | None) -> Any:
        return reference.bwdbwd(v, g, logits, other, target, *ctx.options)

    return *vjp(function, (v, g, logits, other), grads), None


@operator("ganframe_kernels::patch_loss_bwdbwd", fake=_bwdbwd_fake, backward=_bwdbwd_backward)
def bwdbwd(
    v: Tensor,
    g: Tensor,
    logits: Tensor,
    other: Tensor | None,
    target: Tensor | None,
    real: bool,
    kind: str,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of sum(v * dlogits) by g and by the logits, for the dlogits that `bwd` returns."""
    from ganframe_kernels.patch_loss import kernels  # needs Triton

    return kernels.bwdbwd(v, g, logits, other, target, real, kind, reduction)


def _bwd_fake(g: Tensor, logits: Tensor, other: Tensor | None, *_: object) -> tuple[Tensor, Tensor]:
    dother = logits.new_empty(0) if other is None else torch.empty_like(logits, dtype=other.dtype)
    return torch.empty_like(logits), dother


def _bwd_backward(ctx: Any, v: Tensor | None, vother: Tensor | None) -> Grads:
    g, logits, other, target = ctx.saved_tensors
    if other is not None and vother is not None:
        v = -vother if v is None else v - vother
    if v is None:
        return None, None, None, None
    dg, dlogits = bwdbwd(v, g, logits, other, target, *ctx.options)
    return dg, dlogits, None if other is None else -dlogits.to(other.dtype), None


@operator("ganframe_kernels::patch_loss_bwd", fake=_bwd_fake, backward=_bwd_backward, materialize_grads=False)
def bwd(
    g: Tensor, logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> tuple[Tensor, Tensor]:
    """Return the gradients of sum(g * loss) by the logits and by other; the second is empty without other."""
    from ganframe_kernels.patch_loss import kernels  # needs Triton

    return kernels.bwd(g, logits, other, target, real, kind, reduction)


def _fwd_fake(
    logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> Tensor:
    dtype = compute_dtype(logits.dtype)
    return torch.empty_like(logits, dtype=dtype) if reduction == "none" else logits.new_empty((), dtype=dtype)


def _fwd_backward(ctx: Any, g: Tensor) -> Grads:
    logits, other, target = ctx.saved_tensors
    dlogits, dother = bwd(g, logits, other, target, *ctx.options)
    return dlogits, None if other is None else dother, None


@operator("ganframe_kernels::patch_loss_fwd", fake=_fwd_fake, backward=_fwd_backward)
def fwd(logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str) -> Tensor:
    """See `patch_loss`."""
    from ganframe_kernels.patch_loss import kernels  # needs Triton

    return kernels.fwd(logits, other, target, real, kind, reduction)
