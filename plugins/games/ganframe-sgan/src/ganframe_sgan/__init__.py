"""Semi-supervised GAN: the discriminator also learns to classify, from the few examples that have labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import (
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
from ganframe_sgan.dataset_config import PartlyLabelled

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganframe.game import Metric, Regularizer
    from ganframe_sgan.game import SemiSupervised

__all__ = [
    "Classification",
    "ClassificationAccuracy",
    "PartlyLabelled",
    "SGANDiscriminator",
    "SGANGame",
    "register_components",
]

PAPER = "Odena 2016, arXiv:1606.01583; Salimans et al. 2016, arXiv:1606.03498, section 5"


class SGANGame(GameConfig):
    """A generator against a discriminator that also classifies the labelled examples."""

    paper = PAPER
    type: Literal["sgan"] = "sgan"
    generator: GeneratorConfig
    """The network that makes samples."""
    discriminator: DiscriminatorConfig
    """The network that discriminates and classifies. It has to return class logits, and its setting `classes` has to be
    the number of classes of the data."""

    @override
    def build(self, data: DataSpec) -> SemiSupervised:
        from ganframe_sgan.game import SemiSupervised

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
    """Dropout probability after each layer, in training."""

    @override
    def build(self, *, sample: SampleSpec, condition: TensorSpec | None = None) -> nn.Module:
        from ganframe_sgan.discriminator import Discriminator

        return Discriminator(self, sample)


class Classification(RegularizerConfig):
    """Cross entropy of class logits to the labels: -E log p(y | x), where p is a softmax over the real classes."""

    paper = "Salimans et al. 2016, arXiv:1606.03498, section 5, L_supervised"
    type: Literal["classification"] = "classification"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "label_tensor"}
    side = "discriminator"
    logits: str = "class_logits"
    """Name of the class logits, `(B, classes)`."""
    label_tensor: str = "label"
    """Name of the true classes, `(B,)`."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.logits, self.label_tensor)

    @override
    def build(self) -> Regularizer:
        from ganframe_sgan.classification import CrossEntropy

        return CrossEntropy(self)


class ClassificationAccuracy(MetricConfig):
    """Share of examples whose largest class logit is that of the true class; result `accuracy` in [0, 1]."""

    type: Literal["classification-accuracy"] = "classification-accuracy"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "label_tensor"}
    samples: PositiveInt = 1000
    """Number of held-out examples to classify."""
    logits: str = "class_logits"
    """Name of the class logits, `(B, classes)`."""
    label_tensor: str = "label"
    """Name of the true classes, `(B,)`."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.logits, self.label_tensor)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        return {"accuracy": (1.0, 1.0)}

    @override
    def perfect_samples(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from torch.nn.functional import one_hot

        return {self.logits: one_hot(batch["label"]).float(), self.label_tensor: batch["label"]}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_sgan.classification import Accuracy

        return Accuracy(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the data set, the game, the discriminator, the term and the metric."""
    for cls in (PartlyLabelled, SGANGame, SGANDiscriminator, Classification, ClassificationAccuracy):
        register(cls)
