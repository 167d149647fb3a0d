"""The discriminators around another one.

B: examples. C: channels of a feature, its first axis after B.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, TensorSpec, parts
from ganframe.game import DiscriminatorOutput, Sample, Wrapper
from ganframe_auxiliary_classifier import ClassHead, Projection


class Classifying(Wrapper):
    """A discriminator and a linear classifier over one of its features, flattened.

    Args:
        config: Number of classes, index of the feature, and whether the discriminator is given the condition.
        network: The discriminator.
        sample: The sample that the discriminator takes.
        condition: The condition of the game; None if there is none.

    Raises:
        BadInput: When there is no such feature, or the number of classes is unknown or differs from the game's.

    References:
        Odena et al. 2017, arXiv:1610.09585, section 3.
    """

    def __init__(self, config: ClassHead, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None) -> None:
        super().__init__(network)
        self.layer = config.layer
        self.passes_condition = not config.hide_condition
        shape = _feature_shape(config, network, sample, config.inner_condition(condition))
        self.classify = nn.Linear(math.prod(shape), _classes(config, condition))

    def forward(self, sample: Sample, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return the inner discriminator's output with class logits `(B, classes)`."""
        conditions = (condition,) if self.passes_condition and condition is not None else ()
        output: DiscriminatorOutput = self.network(sample, *conditions)
        return dataclasses.replace(output, class_logits=self.classify(output.features[self.layer].flatten(1)))


class Projecting(Wrapper):
    """A discriminator without a condition, plus y^T V phi(x), where phi is a feature summed over its positions.

    V is a table for class labels, a matrix for other conditions; it is initialised from N(0, 0.02^2).

    Args:
        config: Index of the feature.
        network: The discriminator.
        sample: The sample that the discriminator takes.
        condition: The condition of the game.

    Raises:
        BadInput: When there is no such feature, or the game is not conditional.

    References:
        Miyato and Koyama 2018, arXiv:1802.05637, eq. 3.
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
        """Return the inner discriminator's output, with y^T V phi(x) added to each logit."""
        output: DiscriminatorOutput = self.network(sample)
        feature = output.features[self.layer]
        pooled = feature if feature.ndim == 2 else feature.flatten(2).sum(2)
        embedded = self.embed(condition if isinstance(self.embed, nn.Embedding) else condition.flatten(1))
        inner = (embedded * pooled).sum(1).reshape(-1, *(1,) * (output.logits.ndim - 1))
        return dataclasses.replace(output, logits=output.logits + inner)


def _classes(config: ClassHead, condition: TensorSpec | None) -> int:
    of_game = None if condition is None else condition.classes
    if config.classes is None and of_game is None:
        message = "'class-head' needs the number of classes, because the game's condition is not a class label"
        raise BadInput(message, path=("classes",), remedy="Set `classes` to the data's number of classes.")
    if config.classes is not None and of_game not in (None, config.classes):
        raise BadInput(
            f"'class-head' has {config.classes} classes, but the game's condition is {condition}",
            path=("classes",),
            remedy="Leave `classes` out.",
        )
    return config.classes or of_game or 0


def _feature_shape(
    config: ClassHead | Projection, network: nn.Module, sample: SampleSpec, condition: TensorSpec | None
) -> tuple[int, ...]:
    """Return the shape of the chosen feature of one sample, found by a pass over zeros in eval mode.

    Raises:
        BadInput: When the discriminator returns no such feature.
    """
    zeros = tuple(torch.zeros(1, *part.shape) for part in parts(sample))
    was_training = network.training
    network.eval()
    with torch.no_grad():
        conditions = () if condition is None else (_zero(condition),)
        output: DiscriminatorOutput = network(zeros if isinstance(sample, tuple) else zeros[0], *conditions)
    network.train(was_training)
    count = len(output.features)
    if not -count <= config.layer < count:
        name = config.of.type_name()
        if not count:
            message = f"{config.type_name()!r} reads features, which {name!r} does not return"
            raise BadInput(message, path=("of",))
        raise BadInput(f"{name!r} returns {count} features, and none has the index {config.layer}", path=("layer",))
    return tuple(output.features[config.layer].shape[1:])


def _zero(condition: TensorSpec) -> Tensor:
    return torch.zeros(1, *condition.shape, dtype=torch.float32 if condition.classes is None else torch.int64)
