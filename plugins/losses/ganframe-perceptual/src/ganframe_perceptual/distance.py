"""The distance of activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Round
from ganframe_perceptual import Perceptual


class ActivationDistance(nn.Module):
    """The sum over layers of weight times the mean squared, or absolute, difference of activations.

    Args:
        config: The settings.
        encoder: The frozen network. It moves with this module, but is not part of its state: its config rebuilds it.

    References:
        Johnson et al. 2016, arXiv:1603.08155, eq. 2.
    """

    def __init__(self, config: Perceptual, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.register_state_dict_post_hook(_drop_encoder)

    def forward(self, game_round: Round) -> Tensor:
        """Return the distance, a scalar >= 0.

        Raises:
            BadInput: When the tensors differ in shape, or there are not as many weights as activations.
        """
        config = self.config
        a, b = game_round[config.prediction], game_round[config.target]
        if a.shape != b.shape:
            shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
            message = f"{config.prediction!r} and {config.target!r} cannot be compared: their shapes are {shapes}"
            raise BadInput(message, remedy="Name two tensors of one shape.")
        of_a, of_b = self.encoder(a), self.encoder(b)
        weights = (1.0,) * len(of_a) if config.layer_weights is None else config.layer_weights
        if len(weights) != len(of_a):
            message = f"there are {len(weights)} layer weights for the {len(of_a)} activations of the encoder"
            raise BadInput(message, remedy="Give one for each, or leave `layer_weights` out.")
        terms = [weight * self._between(*pair) for weight, *pair in zip(weights, of_a, of_b, strict=True)]
        return torch.stack(terms).sum()

    def _between(self, a: Tensor, b: Tensor) -> Tensor:
        difference = a - b
        wide = difference.to(torch.promote_types(difference.dtype, torch.float32))
        return (wide.square() if self.config.distance == "squared" else wide.abs()).mean()


def _drop_encoder(module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    for name in [key for key in state if key.startswith(f"{prefix}encoder.")]:
        del state[name]
