"""Noise in the later layers of a generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.errors import BadInput

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Noisy(nn.Module):
    """A generator whose last layers read numbers that are disturbed, in training and in evaluation alike.

    How much is part of the state, so that a trained generator samples as it did at the end of its training.

    Args:
        network: The generator.
        layers: How many layers are meant.
        dropout: Chance that a number is set to 0.
        sigma: Standard deviation of the noise that is added.

    Raises:
        BadInput: When the generator has fewer layers.
    """

    def __init__(self, network: nn.Module, layers: int, dropout: float, sigma: float) -> None:
        super().__init__()
        self.network = network
        self.strength: Tensor
        self.register_buffer("strength", torch.tensor([dropout, sigma]))
        found = [each for each in network.modules() if isinstance(each, LAYERS)]
        if len(found) < layers:
            message = f"the generator has {len(found)} linear or convolution layers, and {layers} are to be disturbed"
            raise BadInput(message, path=("layers",))
        for layer in found[-layers:]:
            layer.register_forward_pre_hook(self._disturb)

    @property
    def dropout(self) -> float:
        """Chance that a number is set to 0."""
        return float(self.strength[0])

    @dropout.setter
    def dropout(self, value: float) -> None:
        self.strength[0] = value

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that is added."""
        return float(self.strength[1])

    @sigma.setter
    def sigma(self, value: float) -> None:
        self.strength[1] = value

    def forward(self, source: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the generator makes."""
        return self.network(source) if condition is None else self.network(source, condition)

    def _disturb(self, layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features, *rest = given
        dropout, sigma = self.strength.unbind()
        # In float32 whatever the precision, so that the same numbers are dropped in each.
        kept = torch.rand(features.shape, device=features.device) >= dropout
        noise = torch.randn(features.shape, device=features.device) * sigma
        return ((features * kept / (1 - dropout) + noise).to(features.dtype), *rest)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the generator offers."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)
