"""Real examples that the classifier is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ganframe.config import BadInput, DatasetConfig
from ganframe.data import Dataset, Randomness

SHARE = 10
"""One of this many training examples is held out if the data holds out none."""
MAX_EXAMPLES = 2000
"""The largest number of held-out examples that are looked at."""


class Subset:
    """Some of the examples of a data set.

    Args:
        dataset: The data set.
        indices: The indices of the examples in it.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return a batch of the examples at these places of the subset."""
        return self.dataset.fetch([self.indices[index] for index in indices], randomness)


@dataclass(frozen=True)
class Split:
    """Examples to train a classifier on, and others to test it on.

    Attributes:
        training: The examples to train on.
        held_out: Other examples.
        origin: Where `held_out` comes from, in words.
    """

    training: Dataset
    held_out: Dataset
    origin: str


def split(data: DatasetConfig, seed: int) -> Split:
    """Return the split of a data set: its own, or one in ten of its examples by the hash of their index.

    Args:
        data: The training data.
        seed: The seed of the hashes.

    Raises:
        BadInput: When the data has a single example.
    """
    training, held_out = data.build(), data.held_out()
    if held_out is not None:
        return Split(training, held_out.build(), "the data's held-out examples")
    if len(training) < 2:
        remedy = "One example is for training, another for the accuracy."
        raise BadInput("'label-agreement' needs at least two examples", path=("data",), remedy=remedy)
    order = sorted(range(len(training)), key=lambda index: hashlib.blake2b(f"{seed} {index}".encode()).digest())
    count = max(len(training) // SHARE, 1)
    origin = f"one in {SHARE} of the training examples, by the hash of their index"
    return Split(Subset(training, sorted(order[count:])), Subset(training, sorted(order[:count])), origin)
