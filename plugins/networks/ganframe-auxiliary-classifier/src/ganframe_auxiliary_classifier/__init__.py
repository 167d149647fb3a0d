"""Class-conditional discriminators: a second head that classifies (AC-GAN), or a projection of the label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt
from typing_extensions import override

from ganframe.config import Component, DiscriminatorTransform, RegularizerConfig, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Regularizer


class ClassHead(DiscriminatorTransform):
    """Adds class logits to any discriminator with features: one linear layer over one of the features, flattened."""

    paper = "Odena et al. 2017, arXiv:1610.09585, section 3"
    type: Literal["class-head"] = "class-head"
    classes: PositiveInt | None = None
    """Number of classes; the number of the game's condition when left out."""
    hide_condition: bool = True
    """In a conditional game, hide the condition from the inner discriminator, as AC-GAN does, so that the class logits
    depend on the sample alone. Otherwise the inner discriminator is given the condition, if it takes one."""
    layer: int = -1
    """Index of the feature that is classified, from 0 at the input side or from -1 at the output side."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return settings of a head over a discriminator that is given the condition."""
        return {"classes": 4, "hide_condition": False}

    @property
    @override
    def conditional(self) -> bool:
        return self.hide_condition or self.of.conditional

    @property
    @override
    def provides(self) -> frozenset[str]:
        return self.of.provides | {"class_logits"}

    @override
    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        return None if self.hide_condition else condition

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_auxiliary_classifier.networks import Classifying

        return Classifying(self, network, sample, condition)


class Projection(DiscriminatorTransform):
    """Adds the inner product of the embedded condition and a pooled feature to the logits of any discriminator."""

    paper = "Miyato and Koyama 2018, arXiv:1802.05637, eq. 3"
    type: Literal["projection"] = "projection"
    layer: int = -1
    """Index of the feature of the inner product, from 0 at the input side or from -1 at the output side."""

    @property
    @override
    def conditional(self) -> bool:
        return True

    @override
    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        return None  # only the projection takes the condition

    @override
    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        from ganframe_auxiliary_classifier.networks import Projecting

        return Projecting(self, network, sample, condition)


class AuxiliaryClassification(RegularizerConfig):
    """Cross entropy of class logits to labels: of reals and fakes for the discriminator, of fakes for the generator."""

    paper = "Odena et al. 2017, arXiv:1610.09585, eq. 3"
    type: Literal["auxiliary-classification"] = "auxiliary-classification"
    side = "both"
    requires_outputs = frozenset({"class_logits"})
    real_label: str = "label"
    """Name of the classes `(B,)` of the reals."""
    fake_label: str = "label"
    """Name of the classes `(B,)` that the fakes should have."""

    @override
    def tensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.real_label, self.fake_label)))

    @override
    def build(self) -> Regularizer:
        from ganframe_auxiliary_classifier.term import CrossEntropy

        return CrossEntropy(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both discriminators and the regularizer."""
    for cls in (ClassHead, Projection, AuxiliaryClassification):
        register(cls)
