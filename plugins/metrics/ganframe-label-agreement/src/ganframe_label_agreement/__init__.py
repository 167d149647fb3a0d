"""The share of samples that a classifier assigns to the requested class, and how far the classifier can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import BadInput, Component, DatasetConfig, EncoderConfig, MetricConfig, hookimpl

if TYPE_CHECKING:
    from ganframe.game import Metric


class LabelAgreement(MetricConfig):
    """Share of the samples that a classifier assigns to the requested class.

    The classifier is an encoder, or a small network that is trained on the run's real examples. Results: `agreement` in
    [0, 1]; `classifier_accuracy` in [0, 1], the classifier's own accuracy on held-out examples; `matched_accuracy` in
    [0, 1], the same after these examples were given the mean and the power spectrum of the samples; `margin` in [0, 1]:
    the true share is likely to lie within `agreement` plus or minus `margin`.
    """

    paper = "as GAN-test in Shmelkov et al. 2018, arXiv:1807.09499, section 3"
    type: Literal["label-agreement"] = "label-agreement"
    sample: str = "fake"
    """Name of the tensor that is classified: images."""
    label: str = "label"
    """Name of the requested classes, in the game and in the data."""
    real: str = "real"
    """Name of the data's images, which the classifier learns to label."""
    classifier: EncoderConfig | None = None
    """A trained classifier: an encoder whose last activation is the class logits `(B, classes)`. When left out, a
    classifier is trained on the data when the metric is first measured."""
    steps: PositiveInt = 400
    """Training steps of the classifier, each on 64 real examples. Unused with a trained `classifier`."""
    seed: int = Field(default=0, ge=0)
    """Seed of the classifier's weights, of the order of its examples and of the choice of held-out examples."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"steps": 60}

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample, self.label)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        good = (0.95, 1.0)
        return {"agreement": good, "classifier_accuracy": good, "matched_accuracy": good, "margin": (0.0, 0.15)}

    def build(self, data: DatasetConfig) -> Metric:
        """Make the metric over this data, with no examples yet.

        Raises:
            BadInput: When the data has no such images or class labels, or the classifier cannot be built.
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
