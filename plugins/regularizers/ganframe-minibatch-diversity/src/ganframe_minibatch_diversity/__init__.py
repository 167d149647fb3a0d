"""A reward for distances between the samples of a batch, bounded so that no generator can earn it without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import Component, RegularizerConfig, Scheduled, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Regularizer


class MinibatchDiversity(RegularizerConfig):
    """Pushes the samples of a batch apart, up to a distance."""

    paper = (
        "-lambda sum_{i<j} ||G(z_i) - G(z_j)||^2, with a bound of our own; "
        "the aim is that of Salimans et al. 2016, arXiv:1606.03498, section 3.2"
    )
    type: Literal["minibatch-diversity"] = "minibatch-diversity"
    batch_coupled = True
    zero_when = "samples are equal"
    weight: Scheduled = 1.0
    """Factor of the mean over pairs and elements: the formula's lambda times N (N - 1) D / 2, for N samples of D
    numbers; a number or a schedule."""
    sample: str = "fake"
    """Name of the tensor whose samples should differ, batch axis first."""
    limit: float | None = Field(default=1.0, gt=0)
    """Mean squared distance per element above which a pair earns little more, in squared data units. The mean over
    pairs of real examples is a good value; about 0.5 for digits in [-1, 1]. With null it is the plain formula, which a
    generator with unbounded outputs can lower without end."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    @override
    def build(self) -> Regularizer:
        from ganframe_minibatch_diversity.diversity import DiversityReward

        return DiversityReward(self.sample, self.limit)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the regularizer."""
    register(MinibatchDiversity)
