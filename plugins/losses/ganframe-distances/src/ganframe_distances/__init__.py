"""Distances between named tensors: L1 and L2, structural similarity, and the cycle, identity and latent terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator
from typing_extensions import override

from ganframe.config import Component, DataSpec, RegularizerConfig, Scheduled, TensorSpec, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Regularizer

Pairs = Annotated[tuple[tuple[str, str], ...], Field(min_length=1)]


def _names(pairs: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))


def _build(pairs: tuple[tuple[str, str], ...], norm: Literal["l1", "l2"] = "l1") -> Regularizer:
    from ganframe_distances.distances import Distances, absolute, squared

    return Distances(pairs, absolute if norm == "l1" else squared)


class L1(RegularizerConfig):
    """Mean absolute difference of two tensors."""

    paper = "Isola et al. 2017, arXiv:1611.07004, eq. 3; there with the weight 100"
    type: Literal["l1"] = "l1"
    zero_when = "tensors are equal"
    prediction: str = "fake"
    """Name of the generated tensor."""
    target: str = "target"
    """Name of the tensor that it should equal."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(((self.prediction, self.target),))

    @override
    def build(self) -> Regularizer:
        return _build(((self.prediction, self.target),))


class L2(RegularizerConfig):
    """Mean squared difference of two tensors."""

    paper = "Pathak et al. 2016, arXiv:1604.07379, eq. 1; there of the part that is missing"
    type: Literal["l2"] = "l2"
    aliases = ("mse",)
    zero_when = "tensors are equal"
    prediction: str = "fake"
    """Name of the generated tensor."""
    target: str = "target"
    """Name of the tensor that it should equal."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(((self.prediction, self.target),))

    @override
    def build(self) -> Regularizer:
        return _build(((self.prediction, self.target),), "l2")


class SSIM(RegularizerConfig):
    """One minus the mean structural similarity of two tensors of images."""

    paper = "Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity, eq. 13 to 17"
    type: Literal["ssim"] = "ssim"
    zero_when = "tensors are equal"
    prediction: str = "fake"
    """Name of the generated tensor."""
    target: str = "target"
    """Name of the tensor that it should equal."""
    window: int = Field(default=11, ge=1)
    """Side of the Gaussian window in pixels; an odd number. Images must be at least as large."""
    sigma: float = Field(default=1.5, gt=0)
    """Standard deviation of the window in pixels."""
    k1: float = Field(default=0.01, gt=0)
    """Stabilises the comparison of means: C1 = (k1 data_range)^2."""
    k2: float = Field(default=0.03, gt=0)
    """Stabilises the comparison of variances: C2 = (k2 data_range)^2."""
    data_range: float = Field(default=2.0, gt=0)
    """Difference between the darkest and the brightest value (L); 2 for images in [-1, 1]."""

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"the window needs a middle pixel, so its side must be odd, not {window}")
        return window

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(((self.prediction, self.target),))

    @override
    def build(self) -> Regularizer:
        from ganframe_distances.distances import Distances
        from ganframe_distances.similarity import Dissimilarity

        stabilisers = ((self.k1 * self.data_range) ** 2, (self.k2 * self.data_range) ** 2)
        return Distances(((self.prediction, self.target),), Dissimilarity(self.window, self.sigma, *stabilisers))


class Cycle(RegularizerConfig):
    """Mean absolute difference of samples and their translation to the other domain and back, summed over domains."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, eq. 2"
    type: Literal["cycle"] = "cycle"
    zero_when = "tensors are equal"
    weight: Scheduled = 10.0
    """Factor of the sum (lambda in eq. 3); a number or a schedule."""
    pairs: Pairs = (("reconstructed_a", "real_a"), ("reconstructed_b", "real_b"))
    """Names of the tensors that should equal each other, a pair for each domain."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(self.pairs)

    @override
    def build(self) -> Regularizer:
        return _build(self.pairs)


class Identity(RegularizerConfig):
    """Mean absolute change that a generator makes to samples of its own output domain, summed over domains."""

    paper = "Zhu et al. 2017, arXiv:1703.10593, section 5.2; after Taigman et al. 2017, arXiv:1611.02200"
    type: Literal["identity"] = "identity"
    zero_when = "tensors are equal"
    weight: Scheduled = 5.0
    """Factor of the sum (0.5 lambda in section 5.2, with lambda = 10); a number or a schedule."""
    pairs: Pairs = (("identity_a", "real_a"), ("identity_b", "real_b"))
    """Names of the tensors that should equal each other, a pair for each domain."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(self.pairs)

    @override
    def build(self) -> Regularizer:
        return _build(self.pairs)


class LatentReconstruction(RegularizerConfig):
    """Mean absolute or squared difference of the latents and their reconstruction by an encoder from the samples."""

    paper = "Zhu et al. 2017, arXiv:1711.11586, section 3.3; l2: Srivastava et al. 2017, arXiv:1705.07761"
    type: Literal["latent-reconstruction"] = "latent-reconstruction"
    zero_when = "tensors are equal"
    latent: str = "latent"
    """Name of the tensor that the samples were made from."""
    reconstruction: str = "reconstructed_latent"
    """Name of the tensor of latents that the encoder reconstructs from the samples."""
    norm: Literal["l1", "l2"] = "l1"
    """The absolute or the squared difference."""

    @override
    def example_specs(self) -> DataSpec:
        return {self.latent: TensorSpec((3,)), self.reconstruction: TensorSpec((3,))}

    @override
    def tensors(self) -> tuple[str, ...]:
        return _names(((self.reconstruction, self.latent),))

    @override
    def build(self) -> Regularizer:
        return _build(((self.reconstruction, self.latent),), self.norm)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the distances."""
    for cls in (L1, L2, SSIM, Cycle, Identity, LatentReconstruction):
        register(cls)
