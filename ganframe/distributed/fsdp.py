"""FSDP2: players whose parameters, gradients and optimizer state are sharded over the ranks of a run.

A sharded parameter is a `DTensor`, of which each rank holds some rows; checkpoints store whole tensors. The parameters
of each child module of a player are gathered when the child runs and freed afterwards. A device holds all parameters of
a network at once only inside `unsharded`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from ganframe.distributed.collectives import distribute_like, mean_over_ranks
from ganframe.distributed.shard import this_shard


def shard(network: nn.Module, device: torch.device) -> None:
    """Shard the parameters of a network over all ranks, in place.

    Args:
        network: A network with the same weights on every rank.
        device: The device of this rank.
    """
    mesh = init_device_mesh(device.type, (this_shard().world_size,))
    for child in _children_to_shard(network):
        fully_shard(child, mesh=mesh)
    fully_shard(network, mesh=mesh)


def _children_to_shard(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the child modules that have parameters; for a module list, which does not run itself, its children."""
    for child in network.children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from _children_to_shard(child)
        elif any(True for _ in child.parameters()):
            yield child


@contextmanager
def unsharded(players: Iterable[nn.Module]) -> Generator[None, None, None]:
    """Gather the parameters of sharded players inside the `with` block, and average their gradients at its end.

    FSDP itself would average gradients after the first backward pass, too early for second derivatives.
    """
    networks = [player for player in players if isinstance(player, FSDPModule)]
    for network in networks:
        _for_each_fsdp_module(network, lambda module: module.unshard())
        network.set_requires_gradient_sync(False)
        network.set_reshard_after_backward(False)
        network.set_reshard_after_forward(False)
    yield
    for network in networks:
        gradients = {name: parameter.grad for name, parameter in cast(nn.Module, network).named_parameters()}
        for parameter in cast(nn.Module, network).parameters():
            parameter.grad = None
        _for_each_fsdp_module(network, lambda module: module.reshard())
        network.set_requires_gradient_sync(True)
        network.set_reshard_after_backward(True)
        network.set_reshard_after_forward(True)
        for name, parameter in cast(nn.Module, network).named_parameters():
            gradient = gradients[name]
            if gradient is not None:
                parameter.grad = distribute_like(mean_over_ranks(gradient), parameter)


def _for_each_fsdp_module(network: FSDPModule, change: Callable[[FSDPModule], object]) -> None:
    for module in cast(nn.Module, network).modules():
        if isinstance(module, FSDPModule):
            change(module)
