"""The specification of patch_loss, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.precision import compute_dtype

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """The losses of one raw output C."""

    real_loss: Loss
    """Loss of a sample to be classified as real."""
    fake_loss: Loss
    """Loss of a sample to be classified as fake."""


_BCE = Kind(lambda c: F.softplus(-c), F.softplus)
_RAW = Kind(lambda c: -c, lambda c: c)

KINDS = {
    "bce": _BCE,
    "least_squares": Kind(lambda c: (c - 1).square() / 2, lambda c: c.square() / 2),
    "hinge": Kind(lambda c: F.relu(1 - c), lambda c: F.relu(1 + c)),
    "hinge_generator": _RAW,
    "wasserstein": _RAW,
    "relativistic": _BCE,
    "minimax_generator": Kind(lambda c: -F.softplus(c), lambda c: -F.softplus(-c)),
}


def patch_loss(
    logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> Tensor:
    """Compute the losses, in float32 for the half types, and reduce them."""
    c = logits.to(compute_dtype(logits.dtype))
    if other is not None:
        c = c - other.to(c.dtype)
    functions = KINDS[kind]
    if target is None:
        losses = functions.real_loss(c) if real else functions.fake_loss(c)
    else:
        t = target.to(c.dtype).reshape(-1, *(1,) * (c.ndim - 1))
        losses = t * functions.real_loss(c) + (1 - t) * functions.fake_loss(c)
    return {"none": losses.clone, "sum": losses.sum, "mean": losses.mean}[reduction]()


def bwd(
    g: Tensor, logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> Grads:
    """Return the gradients of sum(g * loss) by the logits and by other."""
    return vjp(lambda x, y: patch_loss(x, y, target, real, kind, reduction), (logits, other), (g,))


def bwdbwd(
    v: Tensor,
    g: Tensor,
    logits: Tensor,
    other: Tensor | None,
    target: Tensor | None,
    real: bool,
    kind: str,
    reduction: str,
) -> Grads:
    """Return the gradients of sum(v * dlogits) by g and by the logits."""
    return vjp(lambda g, x: bwd(g, x, other, target, real, kind, reduction)[:1], (g, logits), (v,))
