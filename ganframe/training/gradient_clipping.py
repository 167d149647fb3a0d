"""Clipping of gradients by their norm."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ganframe.distributed.collectives import full_tensor, is_sharded


def clip_gradient_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients down, in place, if the L2 norm of all of them together is above `max_norm`.

    The norm is that of `torch.nn.utils.clip_grad_norm_`. If parameters are sharded, it is the norm over all ranks, and
    every rank has to call this.

    Args:
        parameters: Parameters, sharded or not; one without a gradient counts as zero.
        max_norm: The largest norm; above 0.

    Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    # Sharded and whole tensors do not go into one call of PyTorch's functions.
    parts: dict[bool, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            parts.setdefault(is_sharded(parameter), []).append(parameter)
    if not parts:
        return
    norms = [get_total_norm([each.grad for each in part if each.grad is not None]) for part in parts.values()]
    norm = torch.stack([full_tensor(each) for each in norms]).norm()
    for part in parts.values():
        clip_grads_with_norm_(part, max_norm, norm)
