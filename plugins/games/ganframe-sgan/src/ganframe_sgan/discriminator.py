"""The discriminator with C + 1 classes."""

from __future__ import annotations

from torch import Tensor, nn

from ganframe.config import BadInput, SampleSpec, TensorSpec
from ganframe.game import DiscriminatorOutput
from ganframe_sgan import SGANDiscriminator

INNERMOST = 4
"""Longest side of the innermost feature map, in pixels."""


class Discriminator(nn.Module):
    """Maps an image to a logit and class logits, by one softmax over C classes and one more that means fake.

    With outputs l_1 ... l_C for the classes and l_0 for fake, the softmax gives

        p(real | x) = sum_c exp(l_c) / (exp(l_0) + sum_c exp(l_c)) = sigmoid(logsumexp_c(l_c) - l_0),

    so logsumexp_c(l_c) - l_0 is the logit for a binary loss, and softmax_c(l_c) is p(class c | x, real).

    Args:
        config: Number of classes, width and dropout.
        sample: One image.

    Raises:
        BadInput: When the sample is not an image.

    References:
        Odena 2016, arXiv:1606.01583; Salimans et al. 2016, arXiv:1606.03498, section 5.
    """

    def __init__(self, config: SGANDiscriminator, sample: SampleSpec) -> None:
        super().__init__()
        if not isinstance(sample, TensorSpec) or len(sample.shape) != 3:
            given = " and ".join(map(str, sample)) if isinstance(sample, tuple) else sample
            raise BadInput(f"'sgan' takes one image, not {given}")
        before, height, width = sample.shape
        after = config.channels
        self.stages = nn.ModuleList()
        while not self.stages or max(height, width) > INNERMOST:
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            self.stages.append(nn.Sequential(convolution, nn.LeakyReLU(0.2), nn.Dropout(config.dropout)))
            height, width = -(-height // 2), -(-width // 2)
            before, after = after, min(2 * after, 8 * config.channels)
        self.classify = nn.Linear(before * height * width, config.classes + 1)

    def forward(self, sample: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Return logits `(B,)`, class logits `(B, classes)` and features for images `(B, C, H, W)`."""
        hidden = sample
        features: list[Tensor] = []
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        outputs = self.classify(hidden.flatten(1))
        classes, fake = outputs[:, :-1], outputs[:, -1]
        return DiscriminatorOutput(classes.logsumexp(dim=1) - fake, features=tuple(features), class_logits=classes)
