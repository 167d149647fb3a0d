"""Stacks of three digits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.data import Randomness
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
        self._images, self._digits = digits["real"][:, 0], digits["label"]
        generator = Randomness(config.seed).generator(f"stacked digits {config.split}")
        self._chosen = torch.randint(len(self._digits), (config.examples, CHANNELS), generator=generator)

    def __len__(self) -> int:
        """Return the number of stacks."""
        return len(self._chosen)

    def labels(self) -> dict[str, Tensor]:
        """Return the label of each stack, `(N,)`, under the name `label`."""
        return {"label": self._numbers(self._chosen)}

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return the stacks with these indices: images `(B, 3, 28, 28)` in uint8 and labels `(B,)`."""
        chosen = self._chosen[torch.as_tensor(indices)]
        return {"real": self._images[chosen], "label": self._numbers(chosen)}

    def _numbers(self, chosen: Tensor) -> Tensor:
        red, green, blue = self._digits[chosen].unbind(dim=1)
        return 100 * red + 10 * green + blue
