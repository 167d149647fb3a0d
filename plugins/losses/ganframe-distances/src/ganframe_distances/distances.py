"""Distances of named tensors, pair by pair."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganframe.game import BadInput, Round


class Distances(nn.Module):
    """The sum over pairs of a distance.

    Args:
        pairs: Names of the tensors to compare.
        between: The distance of two tensors of one shape: a scalar.
    """

    def __init__(self, pairs: tuple[tuple[str, str], ...], between: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.pairs = pairs
        self.between = between

    def forward(self, game_round: Round) -> Tensor:
        """Return the distance, a scalar >= 0.

        Raises:
            BadInput: When the tensors of a pair differ in shape, or the distance does not suit them.
        """
        return torch.stack([self._distance(game_round, *pair) for pair in self.pairs]).sum()

    def _distance(self, game_round: Round, first: str, second: str) -> Tensor:
        a, b = game_round[first], game_round[second]
        if a.shape != b.shape:
            shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
            message = f"the tensors {first!r} and {second!r} cannot be compared: their shapes are {shapes}"
            raise BadInput(message, remedy="Name two tensors of one shape.")
        return self.between(a, b)


def absolute(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean |a - b| over batch and elements."""
    return (a - b).abs().mean()


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean (a - b)^2 over batch and elements; squares are at least in float32."""
    difference = a - b
    return difference.to(torch.promote_types(difference.dtype, torch.float32)).square().mean()
