"""Clipping of gradients by their norm."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ganframe.distributed.collectives import full_tensor, is_sharded


def clip_gradient_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale the gradients down, in place, if their joint L2 norm is above `max_norm`.

    Unlike `torch.nn.utils.clip_grad_norm_`, it takes a mixture of sharded and whole parameters. If any is sharded, the
    norm is over all ranks, and every rank must call this.

    Args:
        parameters: Parameters, sharded or not; those without a gradient are ignored.
        max_norm: Maximum norm, above 0.

    References:
        Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    # PyTorch's functions do not take sharded and whole tensors in one call.
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
