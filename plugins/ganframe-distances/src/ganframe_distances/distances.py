"""Mean absolute differences of named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganframe.errors import BadInput
from ganframe.game import Round


class MeanAbsoluteErrors(nn.Module):
    """sum over pairs of mean |a - b|, the mean over batch and elements.

    Args:
        pairs: Names of the tensors to compare.
    """

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, round: Round) -> Tensor:
        """The distance, a scalar >= 0.

        Raises:
            BadInput: When the tensors of a pair differ in shape.
        """
        return torch.stack([_distance(round, *pair) for pair in self.pairs]).sum()


def _distance(round: Round, first: str, second: str) -> Tensor:
    a, b = round[first], round[second]
    if a.shape != b.shape:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        message = f"the tensors {first!r} and {second!r} cannot be compared: their shapes are {shapes}"
        raise BadInput(message, path=("regularizers",), remedy="Name two tensors of one shape.")
    return (a - b).abs().mean()
