"""Reads the digits from the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ganframe.data import TensorData

FILE = Path(__file__).parent / "data" / "digits.npz"


def load(split: str) -> TensorData:
    """The digits of a split, in memory."""
    prefix = split.replace("-", "_")
    with np.load(FILE, allow_pickle=False) as arrays:
        images, labels = arrays[f"{prefix}_images"], arrays[f"{prefix}_labels"]
    return TensorData({"real": torch.from_numpy(images)[:, None], "label": torch.from_numpy(labels).long()})
