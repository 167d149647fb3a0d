"""Measures of samples over the features of any encoder, most of them against real images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import override

from ganframe.config import BadInput, Component, DatasetConfig, EncoderConfig, hookimpl
from ganframe_feature_metrics.settings import EncoderSetting, FeatureDistance, ReferenceSetting

if TYPE_CHECKING:
    from torch import Tensor

    from ganframe.game import Metric

_ROUNDING = 1e-6


class Frechet(EncoderSetting, ReferenceSetting):
    """Frechet distance between Gaussians that are fitted to the features of samples and of reals.

    Result: the squared distance, at least 0, named after the encoder: `frechet/vgg-FILE`. Only figures of one encoder,
    and of equally many samples, can be compared.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982"
    type: Literal["frechet"] = "frechet"

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        from ganframe_feature_metrics.identity import encoder_name

        return {encoder_name(self.encoder): (0.0, _ROUNDING)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_feature_metrics.identity import encoder_name
        from ganframe_feature_metrics.measurements import FrechetDistance

        return FrechetDistance(self, data, encoder_name(self.encoder))


class FID(ReferenceSetting):
    """Frechet Inception distance: the Frechet distance over the features of the standard Inception network.

    Result: `fid`, at least 0. Published figures are of 50,000 samples; with fewer, it is larger.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500, eq. 6"
    type: Literal["fid"] = "fid"
    file: Path
    """The weights of the standard Inception network, as the encoder `inception` reads them."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"file": type(_inception(folder)).example(folder)["file"]}

    @model_validator(mode="after")
    def _encoder_is_installed(self) -> Self:
        self.encoder_config()
        return self

    @override
    def encoder_config(self) -> EncoderConfig:
        return _inception(self.file)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"fid": (0.0, _ROUNDING)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_feature_metrics.measurements import FrechetDistance

        return FrechetDistance(self, data, "fid")


def _inception(file: Path) -> EncoderConfig:
    return cast(EncoderConfig, EncoderConfig.from_value({"type": "inception", "file": file}))


class KernelDistance(FeatureDistance):
    """Kernel distance (KID over Inception): squared MMD of the features with the kernel (x · y / D + 1)³, unbiased.

    Results: `mean` and `std` over random subsets. The mean is about 0 for samples of the real distribution, and may be
    a little below 0. If a subset holds all samples and all reals, there is no `std`.
    """

    paper = "Binkowski et al. 2018, arXiv:1801.01401, section 4"
    type: Literal["kernel-distance"] = "kernel-distance"
    subsets: PositiveInt = 100
    """Number of subsets."""
    subset_size: int = Field(default=1000, ge=2)
    """Number of samples, and of reals, in a subset; at most all that there are."""

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"mean": (-math.inf, _ROUNDING)}

    @override
    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        from ganframe_feature_metrics.mmd import kernel_distance

        mean, std = kernel_distance(samples, reals, self.subsets, self.subset_size, self.seed)
        return {"mean": mean} if std is None else {"mean": mean, "std": std}


class InceptionScore(EncoderSetting):
    """Inception score: how sure a classifier is of each sample, and how evenly the samples cover the classes.

    Results: `mean` and `std` over splits of the samples. The mean is in [1, number of classes].
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 4"
    type: Literal["inception-score"] = "inception-score"
    encoder: EncoderConfig
    """A classifier: the softmax of its last activation, `(B, classes)`, is taken for the probabilities of classes."""
    classes: int = Field(ge=2)
    """Number of classes, and of logits: 1008 for the encoder `inception`. An activation of another width, such as its
    `pool`, is refused: the softmax of features is no probability."""
    splits: PositiveInt = 10
    """Number of parts into which the samples are split."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"classes": 4}

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        if self.splits > self.samples:
            raise ValueError(f"{self.samples} samples cannot be split into {self.splits} parts")
        return self

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"mean": (1.0, math.inf)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_feature_metrics.measurements import Score

        return Score(self)


class _Neighbors(FeatureDistance):
    neighbors: PositiveInt
    """The radius of a ball is the distance from its centre to the neighbour of this rank."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        for name in ("samples", "reference_samples"):
            count = getattr(self, name)
            if count is not None and count <= self.neighbors:
                raise ValueError(f"`{name}` is {count}, and has to be more than `neighbors`, {self.neighbors}")
        return self

    def check_reals(self, count: int) -> None:
        """Refuse a reference with too few examples.

        Raises:
            BadInput: When there are not more reals than `neighbors`.
        """
        if count <= self.neighbors:
            message = f"the reference has {count} examples, and has to have more than `neighbors`, {self.neighbors}"
            raise BadInput(message, path=("neighbors",), remedy="Set `neighbors` lower, or use more data.")


class PrecisionRecall(_Neighbors):
    """Improved precision and recall: shares of samples and reals that lie in the other set's balls.

    Results in [0, 1]: `precision` is the share of samples within a ball around a real, `recall` the share of reals
    within a ball around a sample.
    """

    paper = "Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2"
    type: Literal["precision-recall"] = "precision-recall"
    neighbors: PositiveInt = 3
    """The radius of a ball is the distance from its centre to the neighbour of this rank in the same set."""

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"precision": (1.0, 1.0), "recall": (1.0, 1.0)}

    @override
    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        from ganframe_feature_metrics.neighbors import precision_recall

        self.check_reals(len(reals))
        precision, recall = precision_recall(samples, reals, self.neighbors)
        return {"precision": precision, "recall": recall}


class DensityCoverage(_Neighbors):
    """Density and coverage: how many balls around reals hold a sample, which outliers among samples do not distort.

    Results: `density`, at least 0 and about 1 for samples of the real distribution, counts the balls around reals that
    a sample lies in. `coverage`, in [0, 1], is the share of reals whose ball holds a sample.
    """

    paper = "Naeem et al. 2020, arXiv:2002.09797, eq. 2 and 3"
    type: Literal["density-coverage"] = "density-coverage"
    neighbors: PositiveInt = 5
    """The radius of a ball is the distance from a real to the neighbour of this rank among the reals."""

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"density": (1.0, math.inf), "coverage": (1.0, 1.0)}

    @override
    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        from ganframe_feature_metrics.neighbors import density_coverage

        self.check_reals(len(reals))
        density, coverage = density_coverage(samples, reals, self.neighbors)
        return {"density": density, "coverage": coverage}


class MIND(FeatureDistance):
    """Monge Inception distance: 3 D times the squared sliced 2-Wasserstein distance of the features.

    Result: `distance`, at least 0. D is the number of features. It needs about a tenth of the samples of a Frechet
    distance.
    """

    paper = "Berthet et al. 2026, MIND: Monge Inception Distance for Generative Models Evaluation, arXiv:2605.06797"
    type: Literal["mind"] = "mind"
    projections: PositiveInt = 1000
    """Number of random directions."""

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"distance": (0.0, _ROUNDING)}

    @override
    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        from ganframe_feature_metrics.sliced import mind

        return {"distance": mind(samples, reals, self.projections, self.seed)}


class CMMD(FeatureDistance):
    """CMMD (over CLIP): 1,000 times the squared MMD of unit-length features with a Gaussian kernel of sigma 10.

    Result: `distance`. It is at least 0, unless `estimator` is `unbiased`.
    """

    paper = "Jayasumana et al. 2024, arXiv:2401.09603, section 4"
    type: Literal["cmmd"] = "cmmd"
    estimator: Literal["biased", "unbiased"] = "biased"
    """`unbiased` leaves out the pairs of a feature with itself, as the paper's equation does. `biased` keeps them, as
    the authors' own code does, which their published figures are from."""

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"distance": (-_ROUNDING, _ROUNDING)}

    @override
    def compare(self, samples: Tensor, reals: Tensor) -> dict[str, float]:
        from ganframe_feature_metrics.mmd import cmmd

        return {"distance": cmmd(samples, reals, unbiased=self.estimator == "unbiased")}


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the metrics."""
    for cls in (Frechet, FID, KernelDistance, InceptionScore, PrecisionRecall, DensityCoverage, MIND, CMMD):
        register(cls)
