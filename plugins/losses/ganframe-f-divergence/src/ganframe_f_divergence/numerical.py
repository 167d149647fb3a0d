"""A divergence from f alone: its conjugate is found numerically.

f counts as infinite for density ratios u outside [e^-30, e^30]. This makes the conjugate finite everywhere, and a
straight line wherever the best u is one of the two ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from typing_extensions import override

from ganframe_f_divergence.losses import LIMIT, FDivergenceLoss

STEPS = 200
"""Largest number of steps of the search for the best u."""

PRECISION = 1e-12
"""Step of ln u at which the search ends."""

Function = Callable[[Tensor], Tensor]
"""f: from density ratios u > 0 to numbers, element by element."""


class NumericalDivergence(FDivergenceLoss):
    """An f-divergence of which only f is known; a subclass writes `f`, and works in float64.

    T = f'(1) + h tanh(v/h). Here h is how far the domain of f* reaches from f'(1), upwards for v > 0 and downwards for
    v < 0. With this, T covers the domain and has the slope 1 at v = 0, which is the decision threshold.
    """

    def f(self, u: Tensor) -> Tensor:
        """Return a convex function of u that is 0 at u = 1; autograd differentiates it twice.

        Args:
            u: Density ratios > 0, of any shape.

        Returns:
            The function of each element.
        """
        raise NotImplementedError

    @override
    def output(self, v: Tensor) -> Tensor:
        low, centre, high = self._domain
        reach = torch.where(v < 0, centre - low, high - centre)
        return (centre + reach * (v.double() / reach).tanh()).to(v.dtype)

    @override
    def conjugate(self, v: Tensor) -> Tensor:
        return conjugate(self.f, self.output(v.double())).to(v.dtype)

    @functools.cached_property
    def _domain(self) -> tuple[float, float, float]:
        """The slope f' at the smallest u, at 1 and at the largest u."""
        log_u = torch.tensor([-LIMIT, 0.0, LIMIT], dtype=torch.float64)
        low, centre, high = _slopes(self.f, log_u)[0].tolist()
        return low, centre, high


def conjugate(f: Function, t: Tensor) -> Tensor:
    """Return f*(t) = sup_u (u t - f(u)) over u in [e^-30, e^30], for float64 t of any shape.

    The gradient is the best u, and the second derivative is 1/f''(u).
    """
    return cast(Tensor, _Conjugate.apply(t, f))


class _Conjugate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: Tensor, f: Function) -> Tensor:
        u = _best_log_u(f, t).exp()
        ctx.save_for_backward(t)
        ctx.f = f
        return u * t - f(u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        return gradients[0] * cast(Tensor, _Best.apply(t, ctx.f)), None


class _Best(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: Tensor, f: Function) -> Tensor:
        log_u = _best_log_u(f, t)
        ctx.save_for_backward(log_u)
        ctx.f = f
        return log_u.exp()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (log_u,) = ctx.saved_tensors
        u, (_, curvature) = log_u.exp(), _slopes(ctx.f, log_u)
        # At an end of the range, and where f is a straight line, u does not change with t.
        follows = (log_u.abs() < LIMIT) & (curvature > 0)
        return gradients[0] * torch.where(follows, u / curvature, 0.0), None


def _best_log_u(f: Function, t: Tensor) -> Tensor:
    """Solve f'(u) = t for ln u by Newton's method, with bisection if a Newton step leaves the bracket or stalls."""
    low, high = torch.full_like(t, -LIMIT), torch.full_like(t, LIMIT)
    low = torch.where(_slopes(f, high)[0] <= t, high, low)
    high = torch.where(_slopes(f, torch.full_like(t, -LIMIT))[0] >= t, -LIMIT, high)
    log_u, before = (low + high) / 2, high - low
    for _ in range(STEPS):
        slope, curvature = _slopes(f, log_u)
        low, high = torch.where(slope <= t, log_u, low), torch.where(slope >= t, log_u, high)
        newton = log_u - (slope - t) / curvature
        step = (newton - log_u).abs()
        good = (newton >= low) & (newton <= high) & (step <= (before / 2).clamp(min=PRECISION))
        after = torch.where(good, newton, (low + high) / 2)
        before, log_u = (after - log_u).abs(), after
        if float(before.max()) <= PRECISION:
            break
    return log_u


def _slopes(f: Function, log_u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slope f' and its derivative by ln u, at u = e^(ln u)."""
    with torch.enable_grad():
        log_u = log_u.detach().requires_grad_()
        u = log_u.exp()
        (slope,) = torch.autograd.grad(f(u).sum(), u, create_graph=True)
        if not slope.requires_grad:
            return slope, torch.zeros_like(slope)
        (curvature,) = torch.autograd.grad(slope.sum(), log_u, allow_unused=True, materialize_grads=True)
    return slope.detach(), curvature
