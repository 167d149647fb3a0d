"""Reading the emoji from the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from einops import rearrange, repeat
from torch import Tensor

from ganframe.data import Dataset, Randomness, TensorData, read_arrays
from ganframe_fluent_emoji import FluentEmoji

FILE = Path(__file__).parent / "data" / "fluent_emoji_32.npz"


def load(config: FluentEmoji) -> Dataset:
    """Load the emoji of a split into memory."""
    held_out, lines, colours = read_arrays(FILE, "held_out", "line", "colour")
    chosen = held_out == (config.split == "held-out")
    line = torch.from_numpy(repeat(lines[chosen], "n h w -> n 3 h w"))
    colour = torch.from_numpy(rearrange(colours[chosen], "n h w c -> n c h w"))
    if config.paired:
        return TensorData({"source": line, "target": colour})
    return TwoDomains(line[::2], colour[1::2])


class TwoDomains:
    """Examples of domain A in order, each with a random example of domain B.

    Args:
        a: uint8 images `(N, 3, H, W)`.
        b: uint8 images `(M, 3, H, W)`.
    """

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b

    def __len__(self) -> int:
        """Return the number of examples of domain A."""
        return len(self.a)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return a batch with these examples of A, in uint8."""
        partners = randomness.integers("real_b", len(self.b), len(indices))
        return {"real_a": self.a[torch.as_tensor(indices)], "real_b": self.b[partners]}
