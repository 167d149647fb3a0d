"""Semi-supervised GAN: the discriminator also learns the class of the few examples that have labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from ganframe.config import (
    BadInput,
    Component,
    DatasetConfig,
    DataSpec,
    DiscriminatorConfig,
    GameConfig,
    GeneratorConfig,
    MetricConfig,
    RegularizerConfig,
    SampleSpec,
    TensorSpec,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.data import Dataset
    from ganframe.game import Metric, Regularizer
    from ganframe_sgan.game import SemiSupervised

PAPER = "Odena 2016, arXiv:1606.01583; Salimans et al. 2016, arXiv:1606.03498, section 5"


class PartlyLabelled(DatasetConfig):
    """All examples of a data set without their labels, and a few of them again with labels.

    Gives `real` (any example), and drawn at random for each batch `labelled` with `label`. Held out are the examples
    that `data` holds out, all with labels: `labelled` is `real` then.
    """

    type: Literal["partly-labelled"] = "partly-labelled"
    data: DatasetConfig
    """A data set that gives `real` and `label`."""
    labels: PositiveInt | None = None
    """How many examples are labelled, equally many of each class up to one; all when left out."""
    seed: int = Field(default=0, ge=0)
    """Seed of which examples are labelled, whatever the seed of the run."""

    def spec(self) -> DataSpec:
        """Names `real`, `labelled` and `label`."""
        try:
            inner = self.data.spec()
        except BadInput as problem:
            raise problem.within("data") from None
        classes = inner["label"].classes if "label" in inner else None
        if "real" not in inner or classes is None:
            remedy = f"It gives: {', '.join(f'{name} ({each})' for name, each in inner.items())}."
            raise BadInput(
                "the inner data set gives no `real` with class labels `label`", path=("data",), remedy=remedy
            )
        if self.labels is not None and self.labels < classes:
            raise BadInput(
                f"{self.labels} labels are fewer than the {classes} classes", path=("labels",), remedy="Label more."
            )
        return {"real": inner["real"], "labelled": inner["real"], "label": inner["label"]}

    def build(self) -> Dataset:
        """See base class.

        Raises:
            BadInput: When a class has fewer examples than are to be labelled.
        """
        from ganframe_sgan.dataset import PartlyLabelledData  # noqa: PLC0415  configs stay free of torch

        return PartlyLabelledData(self, self.spec()["label"].classes or 0)

    def held_out(self) -> DatasetConfig | None:
        """See base class."""
        inner = self.data.held_out()
        return None if inner is None else PartlyLabelled(data=inner)


class SGANGame(GameConfig):
    """A generator against a discriminator that also says which class a labelled example has."""

    paper = PAPER
    type: Literal["sgan"] = "sgan"
    generator: GeneratorConfig
    """The network that makes samples."""
    discriminator: DiscriminatorConfig
    """The network that judges samples and classifies them: one that gives class logits and has a setting `classes`,
    which must be the number of classes of the data."""

    def build(self, data: DataSpec) -> SemiSupervised:
        """See base class."""
        from ganframe_sgan.game import SemiSupervised  # noqa: PLC0415  configs stay free of torch

        return SemiSupervised(self, data)


class SGANDiscriminator(DiscriminatorConfig):
    """Strided convolutions with dropout, and a softmax over the classes and one more that means fake."""

    paper = PAPER
    type: Literal["sgan"] = "sgan"
    provides = frozenset({"features", "class_logits"})
    classes: int = Field(default=10, ge=2)
    """Classes of the data (C); the network has C + 1 outputs."""
    channels: PositiveInt = 32
    """Channels after the first layer; later ones have up to eight times as many."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the activations that is dropped after each layer while training."""

    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        """See base class."""
        from ganframe_sgan.discriminator import Discriminator  # noqa: PLC0415  configs stay free of torch

        return Discriminator(self, sample)


class Classification(RegularizerConfig):
    """Cross entropy of class logits to the labels: -E log p(y | x), where p is a softmax over the real classes."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 5, L_supervised"
    type: Literal["classification"] = "classification"
    side = "discriminator"
    logits: str = "class_logits"
    """Name of the class logits, `(B, classes)`."""
    labels: str = "label"
    """Name of the right classes, `(B,)`."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return (self.logits, self.labels)

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_sgan.classification import CrossEntropy  # noqa: PLC0415  configs stay free of torch

        return CrossEntropy(self)


class ClassificationAccuracy(MetricConfig):
    """Share of examples whose largest class logit is that of the right class; result `accuracy` in [0, 1]."""

    type: Literal["classification-accuracy"] = "classification-accuracy"
    samples: PositiveInt = 1000
    """How many held-out examples to classify."""
    logits: str = "class_logits"
    """Name of the class logits, `(B, classes)`."""
    labels: str = "label"
    """Name of the right classes, `(B,)`."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return (self.logits, self.labels)

    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """See base class."""
        return {"accuracy": (1.0, 1.0)}

    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits that are largest at the label."""
        from torch.nn.functional import one_hot  # noqa: PLC0415  configs stay free of torch

        return {self.logits: one_hot(batch["label"]).float(), self.labels: batch["label"]}

    def build(self, data: DatasetConfig) -> Metric:
        """See base class."""
        from ganframe_sgan.classification import Accuracy  # noqa: PLC0415  configs stay free of torch

        return Accuracy(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set, the game, the discriminator, the term and the metric."""
    for cls in (PartlyLabelled, SGANGame, SGANDiscriminator, Classification, ClassificationAccuracy):
        register(cls)
