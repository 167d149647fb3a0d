"""The live metrics: they collect features of samples, and compare them with those of real images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganframe.config import DatasetConfig
from ganframe.data import Randomness, as_float
from ganframe_feature_metrics import FID, Frechet, InceptionScore
from ganframe_feature_metrics.extractor import Extractor
from ganframe_feature_metrics.frechet import Moments, frechet_distance
from ganframe_feature_metrics.identity import encoder_text
from ganframe_feature_metrics.inception_score import inception_score
from ganframe_feature_metrics.reference import Reference
from ganframe_feature_metrics.settings import EncoderSetting, FeatureDistance, FeatureMetric, ReferenceSetting

CPU = torch.device("cpu")


class FrechetDistance:
    """Running moments of the features of samples, compared with the moments of the reference.

    Args:
        config: The settings.
        data: The training data.
        result: The name of the result.

    Raises:
        BadInput: When the encoder cannot be built, or the data lacks what the settings ask for.
    """

    def __init__(self, config: Frechet | FID, data: DatasetConfig, result: str) -> None:
        self.config, self.result = config, result
        self.extractor, self.reference = Extractor(config), Reference(config, data)
        self.moments = Moments()
        self.device = CPU

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add the features of a batch."""
        images = tensors[self.config.sample]
        self.device = images.device
        self.moments.add(self.extractor.features(images))

    def merge(self, other: FrechetDistance) -> None:
        """Add the samples of another measurement."""
        self.moments.merge(other.moments)
        self.device = other.device

    def compute(self) -> dict[str, float]:
        """Return the squared distance."""
        real = Moments()
        for part in self.reference.features(self.extractor, self.device).split(1000):
            real.add(part)
        return {self.result: frechet_distance(self.moments, real)}

    def protocol(self) -> dict[str, str]:
        """Return the settings that decide the result, and a warning if there are too few samples or reals."""
        dimension = len(self.moments.mean)
        described = _protocol(self.config, dimension, self.reference)
        fewest = min(self.moments.count, len(self.reference.indices))
        if fewest < dimension + 1:
            described["warning"] = (
                f"{fewest:,} examples for {dimension:,} features leave the covariance singular and the distance too "
                f"large; take at least {dimension + 1:,}"
            )
        return described


class FeatureRows:
    """Features of samples, in an order that depends on the samples alone.

    Random subsets are then the same however the samples were batched, and whichever rank drew them. Samples are sorted
    by their component along a fixed direction, and then shuffled. Batches and ranks differ by rounding, which hardly
    changes this order. A hash of the pixels, even of 8 bits, would send a sample anywhere, and change all subsets.
    """

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._components: list[Tensor] = []

    def add(self, features: Tensor, images: Tensor) -> None:
        """Add the features `(B, D)` of images `(B, ...)`."""
        self._rows.append(features)
        values = as_float(images).detach().cpu().double().flatten(start_dim=1)
        direction = Randomness(0).normal("order of samples", (values.shape[1],)).double()
        self._components.append((values * direction).sum(dim=1))

    def merge(self, other: FeatureRows) -> None:
        """Add the rows of another collection."""
        self._rows += other._rows
        self._components += other._components

    def sorted(self) -> Tensor:
        """Return the features of all samples, `(N, D)` in float64."""
        order = torch.cat(self._components).argsort(stable=True)
        shuffled = torch.randperm(len(order), generator=Randomness(0).generator("order of samples"))
        return torch.cat(self._rows).double()[order[shuffled]]


class Comparison:
    """Features of samples, compared with those of the reference by the config's `compare`.

    Args:
        config: The settings.
        data: The training data.

    Raises:
        BadInput: When the encoder cannot be built, or the data lacks what the settings ask for.
    """

    def __init__(self, config: FeatureDistance, data: DatasetConfig) -> None:
        self.config = config
        self.extractor, self.reference = Extractor(config), Reference(config, data)
        self.samples = FeatureRows()
        self.device = CPU
        self.dimension = 0

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add the features of a batch."""
        images = tensors[self.config.sample]
        self.device = images.device
        features = self.extractor.features(images)
        self.dimension = features.shape[1]
        self.samples.add(features, images)

    def merge(self, other: Comparison) -> None:
        """Add the samples of another measurement."""
        self.samples.merge(other.samples)
        self.device, self.dimension = other.device, other.dimension

    def compute(self) -> dict[str, float]:
        """Return the results of the comparison."""
        reals = self.reference.features(self.extractor, self.device)
        return self.config.compare(self.samples.sorted(), reals.double())

    def protocol(self) -> dict[str, str]:
        """Return the settings that decide the results."""
        return _protocol(self.config, self.dimension, self.reference)


class Score:
    """Class logits of samples, for the inception score.

    Args:
        config: The settings.

    Raises:
        BadInput: When the encoder cannot be built.
    """

    def __init__(self, config: InceptionScore) -> None:
        self.config = config
        self.extractor = Extractor(config)
        self.samples = FeatureRows()

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Add the class logits of a batch."""
        images = tensors[self.config.sample]
        logits = self.extractor.class_logits(images, self.config.classes)
        self.samples.add(logits, images)

    def merge(self, other: Score) -> None:
        """Add the samples of another measurement."""
        self.samples.merge(other.samples)

    def compute(self) -> dict[str, float]:
        """Return the mean and the standard deviation over the splits."""
        mean, std = inception_score(self.samples.sorted(), self.config.splits)
        return {"mean": mean, "std": std}

    def protocol(self) -> dict[str, str]:
        """Return the settings that decide the results."""
        return _protocol(self.config, self.config.classes, None)


def _protocol(config: FeatureMetric, dimension: int, reference: Reference | None) -> dict[str, str]:
    """Return the settings that decide the results of a metric, as text by name."""
    resize = config.resize
    described = {"encoder": encoder_text(config.encoder_config()), "features": f"{dimension:,}"}
    if reference is not None:
        described["reference"] = f"{len(reference.indices):,} {reference.split} examples"
    described["images"] = "8 bits"
    described["resize"] = "none" if resize is None else f"to {resize[0]} x {resize[1]}, bicubic with antialiasing"
    described["seed"] = str(config.seed)
    shared = {*EncoderSetting.model_fields, *ReferenceSetting.model_fields, "type", "file"}
    own = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in config if name not in shared}
    return described | own
