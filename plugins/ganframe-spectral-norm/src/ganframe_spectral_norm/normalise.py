"""Spectral normalisation of all layers of a network, by PyTorch's parametrization."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganframe.errors import BadInput

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
)


class FullPrecision(nn.Module):
    """A parametrization that autocast leaves alone: in bf16 the singular value would be off by parts in a thousand.

    Args:
        parametrization: What makes the weight.
    """

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.parametrization = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over its largest singular value."""
        with torch.autocast(weight.device.type, enabled=False):
            return self.parametrization(weight)


def normalise(network: nn.Module, power_iterations: int) -> nn.Module:
    """The network, each of its weight matrices divided by an estimate of its largest singular value.

    The matrix of a convolution has a row for each output channel. Layers that are normalised already stay as they are.

    Args:
        network: Any network; it is changed in place.
        power_iterations: Power iterations in each forward pass of training.

    Raises:
        BadInput: When no layer is left to be normalised.
    """
    layers = [each for each in network.modules() if isinstance(each, LAYERS) and not _is_normalised(each)]
    if not layers:
        raise BadInput(
            "'spectral-norm' finds no layer in this network that is not normalised already",
            path=("of",),
            remedy="It normalises linear, convolution and embedding layers.",
        )
    for layer in layers:
        spectral_norm(layer, n_power_iterations=power_iterations)
        parametrizations = _parametrizations(layer)
        parametrizations[-1] = FullPrecision(parametrizations[-1])
    return network


def _is_normalised(layer: nn.Module) -> bool:
    return any(isinstance(each, FullPrecision) for each in _parametrizations(layer))


def _parametrizations(layer: nn.Module) -> Any:
    """The parametrizations of the layer's weight."""
    return cast(Any, layer).parametrizations["weight"] if hasattr(layer, "parametrizations") else ()
