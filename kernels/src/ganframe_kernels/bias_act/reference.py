"""The specification of bias_act, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.autograd import Grads, vjp
from ganframe_kernels.precision import compute_dtype


@dataclass(frozen=True)
class Activation:
    """An activation, with the defaults of its options."""

    function: Callable[[Tensor, float], Tensor]
    """Takes the input and alpha."""
    gain: float = 1.0
    """Default factor of its result."""
    alpha: float = 0.0
    """Default slope below zero."""
    piecewise_linear: bool = False
    """Whether its second derivative is 0 everywhere, and the sign of its result gives its slope."""


ACTIVATIONS = {
    "linear": Activation(lambda x, _: x, piecewise_linear=True),
    "relu": Activation(lambda x, _: F.relu(x), gain=sqrt(2), piecewise_linear=True),
    "lrelu": Activation(F.leaky_relu, gain=sqrt(2), alpha=0.2, piecewise_linear=True),
    "tanh": Activation(lambda x, _: torch.tanh(x)),
    "sigmoid": Activation(lambda x, _: torch.sigmoid(x)),
    "elu": Activation(lambda x, _: F.elu(x)),
    "selu": Activation(lambda x, _: F.selu(x)),
    "softplus": Activation(lambda x, _: F.softplus(x)),
    "swish": Activation(lambda x, _: F.silu(x), gain=sqrt(2)),
}


def bias_act(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float | None) -> Tensor:
    """Compute `clamp(gain * act(x + b))`, in float32 for the half types."""
    y = x.to(compute_dtype(x.dtype))
    if b is not None:
        y = y + b.to(y.dtype).reshape([-1 if axis == dim else 1 for axis in range(x.ndim)])
    y = ACTIVATIONS[act].function(y, alpha) * gain
    if clamp is not None:
        # torch.clamp would let the gradient through at the edge, where the kernels cannot tell inside from outside.
        y = torch.where(y.abs() >= clamp, y.detach().sign() * clamp, y)
    return y.to(x.dtype)


def bwd(
    dy: Tensor,
    x: Tensor,
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> Grads:
    """Return the gradients of sum(dy * y) by x and by b."""
    return vjp(lambda x, b: bias_act(x, b, dim, act, alpha, gain, clamp), (x, b), (dy,))


def bwdbwd(
    v: Tensor,
    dy: Tensor,
    x: Tensor,
    b: Tensor | None,
    dim: int,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> Grads:
    """Return the gradients of sum(v * dx) by dy and by x."""
    return vjp(lambda dy, x: bwd(dy, x, b, dim, act, alpha, gain, clamp)[:1], (dy, x), (v,))
