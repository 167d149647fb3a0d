"""The settings that the metrics have in common. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import DatasetConfig, EncoderConfig, MetricConfig, within

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.game import Metric


class FeatureMetric(MetricConfig):
    """A measure of the features that an encoder computes of samples."""

    samples: int = Field(default=2000, ge=2)
    """Number of samples to measure."""
    sample: str = "fake"
    """Name of the tensor that is measured: images."""
    resize: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width to which images are resized before the encoder, by bicubic interpolation with antialiasing; if
    left out, the encoder is given images of their own size."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn at random: the choice of reference examples, subsets, directions."""

    def encoder_config(self) -> EncoderConfig:
        """Return the config of the encoder."""
        raise NotImplementedError

    def build_encoder(self) -> nn.Module:
        """Make the encoder.

        Raises:
            BadInput: When it cannot be built.
        """
        return self.encoder_config().build()

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)


class EncoderSetting(FeatureMetric):
    """A measure over an encoder that the config names."""

    encoder: EncoderConfig
    """The frozen network. Its last activation is the features; if that is a map, its mean over height and width."""

    @override
    def encoder_config(self) -> EncoderConfig:
        return self.encoder

    @override
    def build_encoder(self) -> nn.Module:
        with within("encoder"):
            return self.encoder.build()


class ReferenceSetting(FeatureMetric):
    """A measure of samples against examples of the data."""

    real: str = "real"
    """Name of the data's images."""
    reference: Literal["held-out", "training"] | None = None
    """The examples to compare with; if left out, the held-out ones, or the training examples if none is held out."""
    reference_samples: int | None = Field(default=None, ge=2)
    """Number of examples to compare with, at most all that there are; if left out, as many as `samples`."""


class FeatureDistance(EncoderSetting, ReferenceSetting):
    """A comparison of the features of samples with those of reals."""

    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        """Return the results by name.

        Args:
            samples: Features of the samples, `(N, D)` in float64, in an order that does not depend on batches.
            reals: Features of the reals, `(M, D)` in float64.

        Raises:
            BadInput: When there are too few reals.
        """
        raise NotImplementedError

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_feature_metrics.measurements import Comparison

        return Comparison(self, data)
