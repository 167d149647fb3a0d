"""Two terms of Salimans et al. 2016: feature matching and historical averaging."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import Component, RegularizerConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Regularizer


class FeatureMatching(RegularizerConfig):
    """Pulls the mean features of fakes towards those of reals: ||E f(x) - E f(G(z))||^2."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.1"
    type: Literal["feature-matching"] = "feature-matching"
    batch_coupled = True
    requires_outputs = frozenset({"features"})
    zero_when = "tensors are equal"
    layers: tuple[int, ...] | None = Field(default=(-1,), min_length=1)
    """Which features of the discriminator, counted from 0 at the input side or from -1 at the output side; null takes
    all."""

    @override
    def build(self) -> Regularizer:
        from ganframe_feature_matching.matching import FeatureMatchingPenalty

        return FeatureMatchingPenalty(self.layers)


class HistoricalAveraging(RegularizerConfig):
    """Pulls the parameters of the players in training towards the mean of their past values."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 3.3"
    type: Literal["historical-averaging"] = "historical-averaging"
    side = "both"

    @override
    def build(self) -> Regularizer:
        from ganframe_feature_matching.history import HistoricalAveragePenalty

        return HistoricalAveragePenalty()


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both regularizers."""
    register(FeatureMatching)
    register(HistoricalAveraging)
