"""Nearest training examples of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganframe.config import BadInput, DatasetConfig
from ganframe.data import Dataset, Randomness, as_float
from ganframe_image_metrics.encoder_text import describe

if TYPE_CHECKING:
    from ganframe_image_metrics import NearestNeighbours

EXAMPLES_AT_ONCE = 200
"""Number of training examples that are read, encoded and compared together."""

EXACT = "donot_use_mm_for_euclid_dist"
"""The mode of `cdist` that subtracts points, and not squares of lengths, which leave little of a small distance."""


class Memorisation:
    """Keeps samples, and compares them with every training example.

    Args:
        config: The settings.
        data: The run's training data.
        encoder: The frozen network; None to compare the examples themselves.

    References:
        Meehan et al. 2020, arXiv:2004.05675, section 4.
    """

    def __init__(self, config: NearestNeighbours, data: DatasetConfig, encoder: nn.Module | None) -> None:
        self.config, self.data, self.encoder = config, data, encoder
        self.samples: list[Tensor] = []
        self.features: list[Tensor] = []
        self.device = torch.device("cpu")
        self._pictures: dict[str, Tensor] = {}
        self._counts: dict[str, str] = {}

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep a batch of samples and their features.

        Raises:
            BadInput: When the samples do not have the shape of the data.
        """
        samples, shape = tensors[self.config.sample].detach().float(), self.data.spec()[self.config.real].shape
        if samples.shape[1:] != tuple(shape):
            name, given = self.config.sample, " x ".join(map(str, samples.shape[1:]))
            message = f"one example of {name!r} is {given}, and one of the data {' x '.join(map(str, shape))}"
            raise BadInput(message, path=("sample",), remedy="Name a tensor of the shape of the data.")
        self.device = samples.device
        self.samples.append(samples.cpu())
        self.features.append(self._encoded(samples))

    def merge(self, other: Memorisation) -> None:
        """Add the samples of another measurement."""
        self.samples += other.samples
        self.features += other.features

    def compute(self) -> dict[str, float]:
        """Return how near the samples are to the training data, beside held-out examples where there are some."""
        training, held_out = self.data.build(), self.data.held_out()
        samples = torch.cat(self.features)
        distances, nearest = self._nearest(samples, training)
        self._counts = {"training examples": f"{len(training):,}"}
        self._draw(distances, nearest, training)
        results = {"distance": float(distances.median())}
        if held_out is None:
            return results
        others = held_out.build()
        beside, _ = self._nearest(torch.cat([self._encoded(batch) for batch in self._batches(others)]), training)
        self._counts["held-out examples"] = f"{len(others):,}"
        nearer, z = mann_whitney(distances, beside)
        return results | {"held-out distance": float(beside.median()), "nearer": nearer, "z": z}

    def protocol(self) -> dict[str, str]:
        """Return what decides the distances."""
        encoder = self.config.encoder
        return {"encoder": "none: pixels" if encoder is None else describe(encoder), **self._counts}

    def pictures(self) -> dict[str, Tensor]:
        """Return some samples and the nearest training example of each, from the nearest sample to the farthest."""
        return self._pictures

    def _draw(self, distances: Tensor, nearest: Tensor, training: Dataset) -> None:
        """Choose samples at even steps of their rank by distance, and read their nearest training examples."""
        samples = torch.cat(self.samples)
        if samples.ndim != 4:
            return
        count = min(self.config.shown, len(samples))
        rows = distances.argsort()[torch.linspace(0, len(samples) - 1, count).round().long()]
        indices = nearest[rows].tolist()
        found = training.fetch(indices, Randomness(0).at("nearest-neighbours"))[self.config.real]
        self._pictures = {"sample": samples[rows], "nearest": as_float(found)}

    def _batches(self, dataset: Dataset) -> Iterator[Tensor]:
        """Yield all examples of a data set in order."""
        for start in range(0, len(dataset), EXAMPLES_AT_ONCE):
            indices = range(start, min(start + EXAMPLES_AT_ONCE, len(dataset)))
            batch = dataset.fetch(indices, Randomness(0).at("nearest-neighbours", start))
            yield as_float(batch[self.config.real])

    def _encoded(self, examples: Tensor) -> Tensor:
        """Return the features of examples, `(B, D)` on the CPU."""
        features = examples
        if self.encoder is not None:
            with torch.no_grad():
                features = self.encoder.to(self.device)(examples.to(self.device))[-1]
            features = features.mean(dim=(2, 3)) if features.ndim == 4 else features
        return features.detach().flatten(1).float().cpu()

    def _nearest(self, features: Tensor, training: Dataset) -> tuple[Tensor, Tensor]:
        """Return the distance of each example from its nearest training example, and the index of that.

        Args:
            features: The features of the examples, `(B, D)`.
            training: The training data.
        """
        examples = features.to(self.device)
        best = torch.full((len(examples),), math.inf, dtype=torch.float64, device=self.device)
        index = torch.zeros(len(examples), dtype=torch.int64, device=self.device)
        first = 0
        for batch in self._batches(training):
            candidates = self._encoded(batch).to(self.device)
            chosen = torch.cdist(examples, candidates, compute_mode=EXACT).argmin(dim=1)
            distance = (examples.double() - candidates[chosen].double()).norm(dim=1)
            index = torch.where(distance < best, first + chosen, index)
            best = torch.minimum(distance, best)
            first += len(candidates)
        return best.cpu(), index.cpu()


def mann_whitney(samples: Tensor, held_out: Tensor) -> tuple[float, float]:
    """Compare the distances of samples with those of held-out examples.

    Args:
        samples: The distance of each of n samples from its nearest training example.
        held_out: The same of m held-out examples.

    Returns:
        The probability that a sample is nearer than a held-out example, where a tie counts as half; and
        z = (U - nm/2) / sqrt(nm (n + m + 1) / 12), where U counts the pairs in which the sample is farther.
    """
    n, m = len(samples), len(held_out)
    ordered = held_out.sort().values
    less = torch.searchsorted(ordered, samples).double()
    no_greater = torch.searchsorted(ordered, samples, right=True).double()
    farther = float(((less + no_greater) / 2).sum())
    return 1 - farther / (n * m), (farther - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
