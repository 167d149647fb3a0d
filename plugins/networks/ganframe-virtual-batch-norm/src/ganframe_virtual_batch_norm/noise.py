"""Noise in the later layers of a generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Wrapper

LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Noisy(Wrapper):
    """A generator whose last layers read numbers that are disturbed, in training and in evaluation alike.

    How much is part of the state, so that a trained generator samples as it did at the end of its training, an averaged
    one too.

    Args:
        network: The generator.
        layers: How many layers are meant.
        dropout: Chance that a number is set to 0.
        sigma: Standard deviation of the noise that is added.

    Raises:
        BadInput: When the generator has fewer layers.
    """

    not_averaged = ("strength",)

    def __init__(self, network: nn.Module, layers: int, dropout: float, sigma: float) -> None:
        super().__init__(network)
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

    def _disturb(self, layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features, *rest = given
        dropout, sigma = self.strength.unbind()
        # In float32 whatever the precision, so that the same numbers are dropped in each.
        kept = torch.rand(features.shape, device=features.device) >= dropout
        noise = torch.randn(features.shape, device=features.device) * sigma
        return ((features * kept / (1 - dropout) + noise).to(features.dtype), *rest)
