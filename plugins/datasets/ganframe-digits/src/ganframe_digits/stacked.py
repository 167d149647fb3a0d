"""Stacks of three digits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.data import Randomness, as_float
from ganframe_digits.dataset import load
from ganframe_digits.stacked_configs import StackedDigits

CHANNELS = 3


class StackedData:
    """Stacks of three digits of a split, drawn with replacement; they are put together when they are fetched.

    Args:
        config: The split, the number of stacks and the seed.
    """

    def __init__(self, config: StackedDigits) -> None:
        digits = load(config.split).tensors
        self.images, self.labels = digits["real"][:, 0], digits["label"]
        generator = Randomness(config.seed).generator(f"stacked digits {config.split}")
        self.chosen = torch.randint(len(self.labels), (config.examples, CHANNELS), generator=generator)

    def __len__(self) -> int:
        """Return the number of stacks."""
        return len(self.chosen)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return the stacks with these indices: images `(B, 3, 28, 28)` and labels `(B,)`."""
        chosen = self.chosen[torch.as_tensor(indices)]
        red, green, blue = self.labels[chosen].unbind(dim=1)
        return {"real": as_float(self.images[chosen]), "label": 100 * red + 10 * green + blue}
