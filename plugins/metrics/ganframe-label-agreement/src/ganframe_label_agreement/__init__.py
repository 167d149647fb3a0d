"""How many samples show the class that was asked for, as a classifier trained on the real data sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from ganframe.config import BadInput, Component, DatasetConfig, MetricConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Metric


class LabelAgreement(MetricConfig):
    """Share of the samples in which a classifier, trained on the run's real examples, sees the class asked for.

    Results: `agreement` in [0, 1], and `classifier_accuracy` in [0, 1], the classifier's own share of right answers on
    the data's held-out examples, which bounds what agreement can mean; left out where the data holds none out.
    """

    paper = "as GAN-test in Shmelkov et al. 2018, arXiv:1807.09499, section 3"
    type: Literal["label-agreement"] = "label-agreement"
    sample: str = "fake"
    """Name of the tensor that is classified: images."""
    label: str = "label"
    """Name of the classes that were asked for, in the game and in the data."""
    real: str = "real"
    """Name of the data's images, which the classifier learns to label."""
    steps: PositiveInt = 400
    """Training steps of the classifier, each on 64 real examples."""
    seed: int = Field(default=0, ge=0)
    """Seed of the classifier's weights and of the order of its examples."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """See base class."""
        return {"steps": 60}

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return (self.sample, self.label)

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """See base class."""
        return {"agreement": (0.95, 1.0), "classifier_accuracy": (0.95, 1.0)}

    def build(self, data: DatasetConfig) -> Metric:
        """See base class.

        Raises:
            BadInput: When the data has no such images or class labels.
        """
        from ganframe_label_agreement.metric import Agreement  # noqa: PLC0415  configs stay free of torch

        spec = data.spec()
        images = self.real in spec and len(spec[self.real].shape) == 3
        if not images or self.label not in spec or spec[self.label].classes is None:
            raise BadInput(
                f"'label-agreement' needs data with images {self.real!r} and class labels {self.label!r}",
                remedy=f"The data gives: {', '.join(f'{name} ({each})' for name, each in spec.items())}.",
            )
        return Agreement(self, data)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the metric."""
    register(LabelAgreement)
