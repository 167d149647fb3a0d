"""Lambert's W for Jeffrey's divergence, in the log domain, where W(e^(1 - t)) does not overflow."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

STEPS = 7
"""Number of Newton steps, which from these starts reach the precision of float64 for |t| up to 1e4 and beyond."""


def log_ratio(t: Tensor) -> Tensor:
    """Return the ln u with f'(u) = ln u + 1 - 1/u = t, that is -ln W(e^(1 - t)); of any shape and sign.

    The gradient is that of the exact solution, 1/(1 + 1/u), and can be differentiated again.
    """
    return cast(Tensor, _LogRatio.apply(t))


class _LogRatio(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        # The left side is concave in ln u and these starts lie left of the solution, so that each step goes right.
        log_u = torch.where(t < 0, -(-t.clamp(max=0)).log1p(), torch.maximum(t - 1, t / 2))
        for _ in range(STEPS):
            log_u = log_u - (log_u - (-log_u).expm1() - t) * log_u.sigmoid()
        ctx.save_for_backward(log_u)
        return log_u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (log_u,) = ctx.saved_tensors
        return gradients[0] * log_u.sigmoid()
