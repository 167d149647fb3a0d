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
"""The layers whose inputs get noise."""


class Noisy(Wrapper):
    """A generator whose last layers read noisy inputs, in training and in evaluation.

    The strength of the noise is part of the state, so that a trained generator, averaged or not, samples with the
    strength at the end of its training.

    Args:
        network: The generator.
        layers: Number of layers whose inputs get noise.
        dropout: Probability that a number is set to 0.
        sigma: Standard deviation of the noise that is added.

    Raises:
        BadInput: When the generator has fewer than `layers` layers.

    References:
        Isola et al. 2017, arXiv:1611.07004, section 3.1 (dropout in sampling).
    """

    not_averaged = ("strength",)

    def __init__(self, network: nn.Module, layers: int, dropout: float, sigma: float) -> None:
        super().__init__(network)
        self.strength: Tensor
        self.register_buffer("strength", torch.tensor([dropout, sigma]))
        candidates = [module for module in network.modules() if isinstance(module, LAYERS)]
        if len(candidates) < layers:
            message = f"the generator has {len(candidates)} linear or convolution layers, fewer than {layers}"
            raise BadInput(message, path=("layers",))
        for layer in candidates[-layers:]:
            layer.register_forward_pre_hook(self._add_noise)

    @property
    def dropout(self) -> float:
        """Probability that a number is set to 0."""
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

    def _add_noise(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features, *rest = inputs
        dropout, sigma = self.strength.unbind()
        # In float32 whatever the precision, so that the same numbers are dropped in all of them.
        kept = torch.rand(features.shape, device=features.device) >= dropout
        noise = torch.randn(features.shape, device=features.device) * sigma
        return ((features * kept / (1 - dropout) + noise).to(features.dtype), *rest)
