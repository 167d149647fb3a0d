"""The specification of spectral_norm_sigma, in plain PyTorch: layers of one shape share a batched product."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ganframe_kernels.precision import compute_dtype

Layers = tuple[Tensor, list[Tensor], list[Tensor]]


def spectral_norm_sigma(
    weights: Sequence[Tensor], us: Sequence[Tensor], vs: Sequence[Tensor], iterations: int, eps: float
) -> Layers:
    """Iterate, and compute u^T W v with gradients by W alone, in float32 for the half types."""
    groups: dict[torch.Size, list[int]] = {}
    for layer, w in enumerate(weights):
        groups.setdefault(w.shape, []).append(layer)
    sigmas: list[Tensor] = []
    new_us, new_vs = list(us), list(vs)
    # In half precision the iteration stalls at a relative error of about 1e-3.
    with torch.autocast(weights[0].device.type, enabled=False):
        for members in groups.values():
            W, u, v = (_stack([of[layer] for layer in members]) for of in (weights, us, vs))
            u, v = u.detach()[:, :, None], v.detach()[:, :, None]
            with torch.no_grad():
                for _ in range(iterations):
                    u = F.normalize(torch.bmm(W, v), dim=1, eps=eps)
                    v = F.normalize(torch.bmm(W.mT, u), dim=1, eps=eps)
            sigmas.append((u * torch.bmm(W, v)).sum([1, 2]))
            for index, layer in enumerate(members):
                new_us[layer] = u[index, :, 0].to(us[layer].dtype)
                new_vs[layer] = v[index, :, 0].to(vs[layer].dtype)
        order = [layer for members in groups.values() for layer in members]
        return torch.cat(sigmas)[[order.index(layer) for layer in range(len(order))]], new_us, new_vs


def _stack(tensors: list[Tensor]) -> Tensor:
    stacked = torch.stack(tensors)
    return stacked.to(compute_dtype(stacked.dtype))
