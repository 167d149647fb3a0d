"""Maximum mean discrepancy: between samples (GMMN), or between the outputs of a critic for them (MMD-GAN)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, FiniteFloat
from typing_extensions import override

from ganframe.config import (
    Component,
    DataSpec,
    GameConfig,
    GeneratorConfig,
    LossConfig,
    RegularizerConfig,
    ZeroCase,
    hookimpl,
)

if TYPE_CHECKING:
    from ganframe.game import Loss, Regularizer
    from ganframe_mmd.game import MomentMatching

KernelName = Literal["rbf", "linear", "rational-quadratic"]
Estimator = Literal["biased", "unbiased"]
Scales = Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(min_length=1)]


class MMD(RegularizerConfig):
    """Squared maximum mean discrepancy of two tensors, E k(x, x') + E k(y, y') - 2 E k(x, y)."""

    paper = "Gretton et al. 2012, JMLR 13:723-773, eq. 3 and 5; Li et al. 2015, arXiv:1502.02761, eq. 3"
    type: Literal["mmd"] = "mmd"
    batch_coupled = True
    sample: str = "fake"
    """Name of the tensor y, batch axis first."""
    reference: str = "real"
    """Name of the tensor x."""
    kernel: KernelName = "rbf"
    """k(x, y): `rbf` sum_s exp(-||x - y||^2 / (2 s^2)), `linear` x^T y, or `rational-quadratic`
    sum_a (1 + ||x - y||^2 / (2 a))^-a."""
    bandwidths: Scales = (0.1, 0.5, 1.0)
    """The s of `rbf`, in units of the data; ignored by other kernels."""
    alphas: Scales = (0.2, 0.5, 1.0, 2.0, 5.0)
    """The a of `rational-quadratic`; ignored by other kernels."""
    estimator: Estimator = "biased"
    """`biased` includes the pairs of an example with itself and is never negative; `unbiased` leaves them out."""

    @property
    @override
    def zero_when(self) -> ZeroCase | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        # The biased estimate of equal batches is 0.
        return "tensors are equal" if self.estimator == "biased" else None

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.reference, self.sample)

    @override
    def build(self) -> Regularizer:
        from ganframe_mmd.terms import Discrepancy, discrepancy

        return Discrepancy(self.reference, self.sample, discrepancy(self))


class MMDCritic(LossConfig):
    """The critic maximises the squared MMD of its outputs for reals and for fakes, the generator minimises it."""

    paper = "Li et al. 2017, arXiv:1705.08584, section 3; Binkowski et al. 2018, arXiv:1801.01401, section 2"
    type: Literal["mmd-critic"] = "mmd-critic"
    batch_coupled = True
    aliases = ("mmd-gan",)
    takes_targets = False
    higher_is_real = False
    decision_threshold = None
    of: Literal["logits", "features"] = "logits"
    """Which output of the critic is compared: the logits, or the last features, flattened."""
    kernel: KernelName = "rational-quadratic"
    """k(x, y): `rbf` sum_s exp(-||x - y||^2 / (2 s^2)), `linear` x^T y, or `rational-quadratic`
    sum_a (1 + ||x - y||^2 / (2 a))^-a."""
    bandwidths: Scales = (1.0, 2.0, 4.0, 8.0, 16.0)
    """The s of `rbf`, in units of what is compared; ignored by other kernels."""
    alphas: Scales = (0.2, 0.5, 1.0, 2.0, 5.0)
    """The a of `rational-quadratic`; ignored by other kernels."""
    estimator: Estimator = "unbiased"
    """`biased` includes the pairs of an example with itself and is never negative; `unbiased` leaves them out."""

    @property
    @override
    def requires_outputs(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({"features"} if self.of == "features" else ())

    @override
    def build(self) -> Loss:
        from ganframe_mmd.terms import CriticLoss, discrepancy

        return CriticLoss(self.of, discrepancy(self))


class MomentMatchingGame(GameConfig):
    """A generator without a discriminator; terms such as `mmd` compare its samples with the data."""

    paper = "Li et al. 2015, arXiv:1502.02761; Dziugaite et al. 2015, arXiv:1505.03906"
    type: Literal["moment-matching"] = "moment-matching"
    generator: GeneratorConfig
    """The network that makes samples."""
    prior: Literal["normal", "uniform"] = "normal"
    """Distribution of each latent number: N(0, 1), or uniform in [-1, 1], as in the papers."""

    @override
    def build(self, data: DataSpec) -> MomentMatching:
        from ganframe_mmd.game import MomentMatching

        return MomentMatching(self, data)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer, the loss and the game."""
    for cls in (MMD, MMDCritic, MomentMatchingGame):
        register(cls)
