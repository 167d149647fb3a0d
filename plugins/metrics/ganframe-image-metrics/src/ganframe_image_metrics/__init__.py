"""Measures of images beside distances of features: patches, diversity, smoothness of latents, memorisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import (
    BadInput,
    Component,
    DatasetConfig,
    EncoderConfig,
    MetricConfig,
    hookimpl,
    within,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.game import Metric

_ROUNDING = 1e-6


class SlicedWasserstein(MetricConfig):
    """Sliced 1-Wasserstein distance of patches of samples and of reals, at each level of a Laplacian pyramid.

    Results: `mean` over the levels, and the distance at each level by its resolution, as `32x32`: at least 0, and times
    1,000, as the paper gives them. Each channel of the patches of a level is normalised, so that brightness and
    contrast of a level do not count.
    """

    paper = "Karras et al. 2018, arXiv:1710.10196, section 5"
    type: Literal["sliced-wasserstein"] = "sliced-wasserstein"
    samples: int = Field(default=16_384, ge=1)
    """Number of samples, and of reals, to measure. Fewer take less time and give larger distances."""
    sample: str = "fake"
    """Name of the tensor that is measured: images."""
    real: str = "real"
    """Name of the images to compare with."""
    patches: PositiveInt = 128
    """Number of patches of 7 x 7 pixels that are taken from each image at each level."""
    projections: PositiveInt = 512
    """Number of random directions."""
    seed: int = Field(default=0, ge=0)
    """Seed of the places of patches and of the directions."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"patches": 8, "projections": 16}

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.real, self.sample)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"mean": (0.0, _ROUNDING)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_image_metrics.sliced_wasserstein import PatchDistance

        return PatchDistance(self)


class MSSSIM(MetricConfig):
    """Mean multi-scale structural similarity (MS-SSIM) of random pairs of samples: the lower, the more diverse.

    Results in [0, 1]: `fake`, and `real` for pairs of reals, which a diverse generator comes near to. With `label`,
    pairs are of one class, the results are means over the classes, and `highest` is that of the class of samples that
    are the most alike.
    """

    paper = "Odena et al. 2017, arXiv:1610.09585, section 4.2; Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216"
    type: Literal["ms-ssim"] = "ms-ssim"
    samples: int = Field(default=2000, ge=2)
    """Number of samples, and of reals, which are split into pairs at random."""
    sample: str = "fake"
    """Name of the tensor that is measured: images."""
    real: str = "real"
    """Name of the images to compare with."""
    label: str | None = None
    """Name of the classes of both; pairs are taken from all examples when left out."""
    seed: int = Field(default=0, ge=0)
    """Seed of the pairs."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.real, self.sample, *(() if self.label is None else (self.label,)))

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"fake": (0.0, 1.0), "real": (0.0, 1.0)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_image_metrics.diversity import Diversity

        return Diversity(self)


class PathLength(MetricConfig):
    """Perceptual path length: how fast samples change along paths between random latents.

    Results, at least 0: `mean`, and `trimmed`, the mean without the lowest and highest 1 %, as in the authors' code.
    Only figures of one encoder can be compared.
    """

    paper = "Karras et al. 2019, arXiv:1812.04948, section 4.1, eq. 2; Zhang et al. 2018, arXiv:1801.03924, eq. 1"
    type: Literal["path-length"] = "path-length"
    encoder: EncoderConfig
    """The frozen network whose activations are compared: all of them, each normalised over its channels."""
    sample: str = "fake"
    """Name of the tensor that the generator makes."""
    latent: str = "latent"
    """Name of the latents that it starts from."""
    interpolation: Literal["slerp", "lerp"] = "slerp"
    """Paths on great circles, for latents from a normal distribution, or straight ones."""
    epsilon: float = Field(default=1e-4, gt=0, lt=1)
    """Distance of the two points on a path, as a share of the path."""
    precision: Literal["float64", "float32"] = "float64"
    """Precision in which samples and activations are computed, for the distance only. In float32, rounding adds to
    differences as small as these; a network that computes in nothing else needs it, with a larger `epsilon`."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.latent, self.sample)

    @override
    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"distance": batch["real"].double().flatten(1).sum(dim=1) * 0}

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"mean": (0.0, 0.0), "trimmed": (0.0, 0.0)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_image_metrics.path_length import PathLengths

        with within("encoder"):
            return PathLengths(self, self.encoder.build())


class NearestNeighbours(MetricConfig):
    """Memorisation: how much nearer samples are to the training examples than held-out examples are.

    Results: `distance`, the median distance of a sample from its nearest training example. If data is held out:
    `held-out distance`, the same of held-out examples; `nearer`, the probability that a sample is nearer than a
    held-out example, 0.5 by chance and 1 for copies; and `z`, the statistic of a Mann-Whitney test of it, which is
    N(0, 1) by chance and far below -3 for copies. The picture shows samples beside their nearest training examples,
    from the nearest sample to the farthest.
    """

    paper = "Meehan et al. 2020, arXiv:2004.05675, section 4, over the whole space (one cell)"
    type: Literal["nearest-neighbours"] = "nearest-neighbours"
    encoder: EncoderConfig | None = None
    """The frozen network whose last activation is compared; if that is a map, its mean over height and width. Pixels
    are compared when left out."""
    sample: str = "fake"
    """Name of the tensor that is measured."""
    real: str = "real"
    """Name of the examples in the data."""
    shown: PositiveInt = 24
    """Number of samples in the picture."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return the results for samples that are training examples, where held-out ones are too."""
        return {"distance": (0.0, 1e-3), "nearer": (0.45, 0.55)}

    def build(self, data: DatasetConfig) -> Metric:
        """Make an empty measurement.

        Raises:
            BadInput: When the data has no tensor `real`, or the encoder cannot be built.
        """
        from ganframe_image_metrics.nearest_neighbours import Memorisation

        spec = data.spec()
        if self.real not in spec:
            raise BadInput(f"the data has no {self.real!r}", path=("real",), remedy=f"It has: {', '.join(spec)}.")
        encoder: nn.Module | None = None
        if self.encoder is not None:
            with within("encoder"):
                encoder = self.encoder.build()
        return Memorisation(self, data, encoder)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the metrics."""
    for cls in (SlicedWasserstein, MSSSIM, PathLength, NearestNeighbours):
        register(cls)
