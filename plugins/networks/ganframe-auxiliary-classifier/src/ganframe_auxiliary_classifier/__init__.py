"""Classes for any discriminator: a second head that tells them (AC-GAN), or a projection of the label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from ganframe.config import Component, DiscriminatorTransform, RegularizerConfig, SampleSpec, TensorSpec, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from ganframe.game import Regularizer


class ClassHead(DiscriminatorTransform):
    """Adds class logits to any discriminator with features: one linear layer over one of them, flattened."""

    paper = "Odena et al. 2017, arXiv:1610.09585, section 3"
    type: Literal["class-head"] = "class-head"
    classes: PositiveInt | None = None
    """How many classes there are; those of the game's condition when left out."""
    hide_condition: bool = True
    """In a conditional game, keep the condition from the inner discriminator, as AC-GAN does: it is to tell the class
    from the sample alone. Otherwise the inner discriminator is given it, if it takes one."""
    layer: int = -1
    """Which of the features is classified, counted from 0 at the input side or from -1 at the other."""

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """A head over a discriminator that is given the condition."""
        return {"classes": 4, "hide_condition": False}

    @property
    def conditional(self) -> bool:
        """Whether the network can play in a conditional game."""
        return self.hide_condition or self.of.conditional

    @property
    def provides(self) -> frozenset[str]:
        """What a verdict has beside logits."""
        return self.of.provides | {"class_logits"}

    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        """None where it is hidden."""
        return None if self.hide_condition else condition

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """See base class."""
        from ganframe_auxiliary_classifier.networks import Classifying  # noqa: PLC0415  configs stay free of torch

        return Classifying(self, network, sample, condition)


class Projection(DiscriminatorTransform):
    """Adds the inner product of the embedded condition and a pooled feature to the raw outputs of any discriminator."""

    paper = "Miyato and Koyama 2018, arXiv:1802.05637, eq. 3"
    type: Literal["projection"] = "projection"
    layer: int = -1
    """Which of the features is projected on, counted from 0 at the input side or from -1 at the other."""

    @property
    def conditional(self) -> bool:
        """Whether the network can take a condition: always."""
        return True

    def inner_condition(self, condition: TensorSpec | None) -> TensorSpec | None:
        """None: the condition is for the projection alone."""
        return None

    def change(self, network: nn.Module, *, sample: SampleSpec, condition: TensorSpec | None) -> nn.Module:
        """See base class."""
        from ganframe_auxiliary_classifier.networks import Projecting  # noqa: PLC0415  configs stay free of torch

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
    """Name of the classes `(B,)` that the fakes are to have."""

    def tensors(self) -> tuple[str, ...]:
        """See base class."""
        return tuple(dict.fromkeys((self.real_label, self.fake_label)))

    def build(self) -> Regularizer:
        """See base class."""
        from ganframe_auxiliary_classifier.term import CrossEntropy  # noqa: PLC0415  configs stay free of torch

        return CrossEntropy(self)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register both discriminators and the regularizer."""
    for cls in (ClassHead, Projection, AuxiliaryClassification):
        register(cls)
