"""The share of samples that a classifier trained on the real data assigns to the requested class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import BadInput, Component, DatasetConfig, MetricConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Metric


class LabelAgreement(MetricConfig):
    """Share of the samples that a classifier, trained on the run's real examples, assigns to the requested class.

    Results: `agreement` in [0, 1], and `classifier_accuracy` in [0, 1]. The latter is the classifier's own accuracy on
    the data's held-out examples, which limits what `agreement` can tell. It is left out if the data has no held-out
    examples.
    """

    paper = "as GAN-test in Shmelkov et al. 2018, arXiv:1807.09499, section 3"
    type: Literal["label-agreement"] = "label-agreement"
    sample: str = "fake"
    """Name of the tensor that is classified: images."""
    label: str = "label"
    """Name of the requested classes, in the game and in the data."""
    real: str = "real"
    """Name of the data's images, which the classifier learns to label."""
    steps: PositiveInt = 400
    """Training steps of the classifier, each on 64 real examples."""
    seed: int = Field(default=0, ge=0)
    """Seed of the classifier's weights and of the order of its examples."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"steps": 60}

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample, self.label)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"agreement": (0.95, 1.0), "classifier_accuracy": (0.95, 1.0)}

    def build(self, data: DatasetConfig) -> Metric:
        """Make the metric over this data, with no examples yet.

        Raises:
            BadInput: When the data has no such images or class labels.
        """
        from ganframe_label_agreement.metric import Agreement

        spec = data.spec()
        images = self.real in spec and len(spec[self.real].shape) == 3
        if not images or self.label not in spec or spec[self.label].classes is None:
            raise BadInput(
                f"'label-agreement' needs data with images {self.real!r} and class labels {self.label!r}",
                remedy=f"The data gives: {', '.join(f'{name} ({tensor})' for name, tensor in spec.items())}.",
            )
        return Agreement(self, data)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the metric."""
    register(LabelAgreement)
