"""The discriminators around another.

B: examples. C: channels of a feature, its first axis after B.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, Wrapper
from ganframe_auxiliary_classifier import ClassHead, Projection

if TYPE_CHECKING:
    from ganframe.game import Sample


class Classifying(Wrapper):
    """A discriminator and a linear classifier over one of its features, flattened.

    Args:
        config: How many classes, which features, and who sees the condition.
        network: The discriminator.
        sample: What it judges.
        condition: The condition of the game; None where there is none.

    Raises:
        BadInput: When there are no such features, or the number of classes is not known or another than the game's.
    """

    def __init__(self, config: ClassHead, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None) -> None:
        super().__init__(network)
        self.layer = config.layer
        self.passes_condition = not config.hide_condition
        shape = _feature_shape(config, network, sample, config.inner_condition(condition))
        self.classify = nn.Linear(math.prod(shape), _classes(config, condition))

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """The inner verdict with class logits `(B, classes)`."""
        given = (condition,) if self.passes_condition and condition is not None else ()
        output: DiscriminatorOutput = self.network(sample, *given)
        return dataclasses.replace(output, class_logits=self.classify(output.features[self.layer].flatten(1)))


class Projecting(Wrapper):
    """A discriminator that knows of no condition, and the projection of one on a feature, summed over places.

    Class labels are embedded by a table, other conditions by a matrix; weights begin as draws from N(0, 0.02^2).

    Args:
        config: Which features.
        network: The discriminator.
        sample: What it judges.
        condition: The condition of the game.

    Raises:
        BadInput: When there are no such features, or the game is not conditional.
    """

    def __init__(
        self, config: Projection, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
    ) -> None:
        super().__init__(network)
        if condition is None:
            remedy = "Give the game a condition, such as `condition: label`, or use the inner discriminator alone."
            raise BadInput("'projection' projects a condition, but the game has none", remedy=remedy)
        self.layer = config.layer
        channels = _feature_shape(config, network, sample, config.inner_condition(condition))[0]
        self.embed = (
            nn.Linear(math.prod(condition.shape), channels, bias=False)
            if condition.classes is None
            else nn.Embedding(condition.classes, channels)
        )
        nn.init.normal_(self.embed.weight, 0.0, 0.02)

    def forward(self, sample: Sample, condition: Tensor) -> DiscriminatorOutput:
        """The inner verdict, with the inner product of embedding and feature added to each logit."""
        output: DiscriminatorOutput = self.network(sample)
        feature = output.features[self.layer]
        pooled = feature if feature.ndim == 2 else feature.flatten(2).sum(2)
        embedded = self.embed(condition if isinstance(self.embed, nn.Embedding) else condition.flatten(1))
        inner = (embedded * pooled).sum(1).reshape(-1, *(1,) * (output.logits.ndim - 1))
        return dataclasses.replace(output, logits=output.logits + inner)


def _classes(config: ClassHead, condition: TensorSpec | None) -> int:
    known = None if condition is None else condition.classes
    if config.classes is None and known is None:
        message = "'class-head' is not told how many classes there are, and the game's condition is no class label"
        raise BadInput(message, path=("classes",), remedy="Set `classes` to the data's number of classes.")
    if config.classes is not None and known not in (None, config.classes):
        raise BadInput(
            f"'class-head' tells {config.classes} classes apart, but the game's condition is {condition}",
            path=("classes",),
            remedy="Leave `classes` out.",
        )
    return config.classes or known or 0


def _feature_shape(
    config: ClassHead | Projection, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> tuple[int, ...]:
    """The shape of the chosen feature of one sample, found by judging one of zeros in eval mode.

    Raises:
        BadInput: When the discriminator shows no such features.
    """
    given = tuple(torch.zeros(1, *part.shape) for part in parts(sample))
    was_training = network.training
    network.eval()
    with torch.no_grad():
        zeros = () if condition is None else (_zero(condition),)
        output: DiscriminatorOutput = network(given if isinstance(sample, tuple) else given[0], *zeros)
    network.train(was_training)
    shown = len(output.features)
    if not -shown <= config.layer < shown:
        name = config.of.type_name()
        if not shown:
            message = f"{config.type_name()!r} reads features, which {name!r} does not give"
            raise BadInput(message, path=("of",))
        raise BadInput(f"{name!r} shows {shown} features, and none is number {config.layer}", path=("layer",))
    return tuple(output.features[config.layer].shape[1:])


def _zero(condition: TensorSpec) -> Tensor:
    return torch.zeros(1, *condition.shape, dtype=torch.float32 if condition.classes is None else torch.int64)
