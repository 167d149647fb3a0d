"""The specification of patch_loss, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.precision import compute_dtype

Cost = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """What one raw output C costs."""

    as_real: Cost
    """Where the sample should be called real."""
    as_fake: Cost
    """Where the sample should be called fake."""


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
    """Compute the costs, in float32 for the half types, and reduce them."""
    c = logits.to(compute_dtype(logits.dtype))
    if other is not None:
        c = c - other.to(c.dtype)
    cost = KINDS[kind]
    if target is None:
        costs = cost.as_real(c) if real else cost.as_fake(c)
    else:
        t = target.to(c.dtype).reshape(-1, *(1,) * (c.ndim - 1))
        costs = t * cost.as_real(c) + (1 - t) * cost.as_fake(c)
    return {"none": costs.clone, "sum": costs.sum, "mean": costs.mean}[reduction]()


def bwd(
    g: Tensor, logits: Tensor, other: Tensor | None, target: Tensor | None, real: bool, kind: str, reduction: str
) -> Grads:
    """Gradients of sum(g * loss) by the logits and by other."""
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
    """Gradients of sum(v * dlogits) by g and by the logits."""
    return vjp(lambda g, x: bwd(g, x, other, target, real, kind, reduction)[:1], (g, logits), (v,))
