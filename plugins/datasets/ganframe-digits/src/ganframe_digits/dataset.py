"""Reading the digits from the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ganframe.data import TensorData, read_arrays

FILE = Path(__file__).parent / "data" / "digits.npz"


def load(split: str, examples: int | None = None) -> TensorData:
    """Load the digits of a split into memory.

    Args:
        split: `train` or `held-out`.
        examples: Number of examples, equally many of each class; all when None.
    """
    prefix = split.replace("-", "_")
    images, labels = read_arrays(FILE, f"{prefix}_images", f"{prefix}_labels")
    if examples is not None:
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == digit)[: examples // 10] for digit in range(10)]))
        images, labels = images[chosen], labels[chosen]
    return TensorData({"real": torch.from_numpy(images)[:, None], "label": torch.from_numpy(labels).long()})
