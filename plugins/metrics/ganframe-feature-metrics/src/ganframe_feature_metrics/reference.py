"""The real images that samples are compared with, and their features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ganframe.config import DatasetConfig
from ganframe.data import BadInput, Dataset, Randomness, as_float
from ganframe_feature_metrics.cache import cached
from ganframe_feature_metrics.extractor import Extractor
from ganframe_feature_metrics.identity import fingerprint
from ganframe_feature_metrics.settings import ReferenceSetting

READ_BATCH = 100
"""Number of examples that are read at once."""
CHECKED = 4
"""Number of examples whose features are computed anew when the others are read from the cache: code of an encoder, and
weights that no file of its config holds, can change without a trace in the key."""
FEWEST = 2
"""Number of examples that every comparison takes."""
FORMAT = 2
"""Number to raise when the way from images to features changes in this package."""


class Reference:
    """The examples of a data set that a metric compares with.

    Args:
        config: The metric.
        data: The training data.

    Raises:
        BadInput: When the data has no such tensor, or no held-out examples although they are asked for.
    """

    def __init__(self, config: ReferenceSetting, data: DatasetConfig) -> None:
        self.config = config
        names = data.spec()
        if config.real not in names:
            raise BadInput(f"the data has no {config.real!r}", path=("real",), remedy=f"It has: {', '.join(names)}.")
        held_out = None if config.reference == "training" else data.held_out()
        if config.reference == "held-out" and held_out is None:
            remedy = "Leave `reference` out or say `training`: samples are then compared with what was trained on."
            raise BadInput("the data has no held-out examples", path=("reference",), remedy=remedy)
        self.split = "training" if held_out is None else "held-out"
        self._examples = data if held_out is None else held_out

    @cached_property
    def _dataset(self) -> Dataset:
        return self._examples.build()

    @cached_property
    def indices(self) -> list[int]:
        """The indices of the examples: all, or as many as are asked for, drawn at random.

        Raises:
            BadInput: When there are fewer than two.
        """
        available = len(self._dataset)
        if available < FEWEST:
            message = f"the data has {available} {self.split} examples to compare with, and it takes {FEWEST}"
            raise BadInput(message, path=("reference",), remedy="Use more data.")
        count = self.config.samples if self.config.reference_samples is None else self.config.reference_samples
        if count >= available:
            return list(range(available))
        generator = Randomness(self.config.seed).generator("reference examples")
        return sorted(torch.randperm(available, generator=generator)[:count].tolist())

    def features(self, extractor: Extractor, device: torch.device) -> Tensor:
        """Return the features of the examples, `(N, D)` in float32, from the cache if they are there.

        Args:
            extractor: Computes features of images.
            device: The device to compute on.
        """
        encoder = fingerprint(self.config.encoder_config(), extractor.network)
        settings = {"format": FORMAT, "encoder": encoder, "resize": self.config.resize, "device": device.type}
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for images in self._images():
            key.update(f"{tuple(images.shape)}".encode())
            key.update(images.contiguous().numpy().tobytes())
        return cached(
            key.hexdigest(),
            lambda: torch.cat([extractor.features(images.to(device)) for images in self._images()]),
            lambda: extractor.features(next(self._images())[:CHECKED].to(device)),
        )

    def _images(self) -> Iterator[Tensor]:
        randomness = Randomness(self.config.seed).at("reference examples")
        for start in range(0, len(self.indices), READ_BATCH):
            batch = self._dataset.fetch(self.indices[start : start + READ_BATCH], randomness.at(start))
            yield as_float(batch[self.config.real])
