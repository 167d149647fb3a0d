"""Counting the classes of stacked digits.

A perfect sampler's KL is not 0, but (K - 1) / (2 N) on average over N samples and K classes, and a little more: 0.0194
for 26,000 samples of 1,000 classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganframe.config import BadInput
from ganframe_digits.stacked_configs import StackedModes

CHANNELS = 3
DIGITS = 10


class ModeCounts:
    """The number of samples of each class.

    Args:
        config: The settings.
        classifier: The frozen network that classifies a channel.

    References:
        Metz et al. 2017, arXiv:1611.02163, section 3.3.1.
    """

    def __init__(self, config: StackedModes, classifier: nn.Module) -> None:
        self.config, self.classifier = config, classifier
        self.counts = torch.zeros(DIGITS**CHANNELS, dtype=torch.int64)

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Classify and count a batch of images.

        Raises:
            BadInput: When they have not three channels, or the classifier does not give logits of the ten digits.
        """
        images = tensors[self.config.sample]
        if images.ndim != 4 or images.shape[1] != CHANNELS:
            message = f"'stacked-modes' measures images with 3 channels, and {self.config.sample!r} is"
            raise BadInput(f"{message} {tuple(images.shape[1:])}", remedy="Train on `stacked-digits`.")
        with torch.no_grad():
            logits = self.classifier.to(images.device)(images.float().flatten(0, 1)[:, None])[-1]
        if logits.shape != (CHANNELS * len(images), DIGITS):
            shape = tuple(logits.shape[1:])
            message = f"the last activation of the classifier is {shape}, and not the logits of {DIGITS} digits"
            raise BadInput(message, path=("classifier",), remedy="Let its last layer be the logits.")
        first, second, third = logits.argmax(dim=1).reshape(-1, CHANNELS).cpu().unbind(dim=1)
        modes = DIGITS * (DIGITS * first + second) + third
        self.counts += torch.bincount(modes, minlength=len(self.counts))

    def merge(self, other: ModeCounts) -> None:
        """Add the counts of another measurement."""
        self.counts += other.counts

    def protocol(self) -> dict[str, str]:
        """Return what decides the counts."""
        return {"classifier": self.config.classifier.type_name(), "all modes": f"{len(self.counts):,}"}

    def compute(self) -> dict[str, float]:
        """Return the number of classes that some sample has, and KL(classes of samples || uniform) in nats."""
        share = self.counts.double() / self.counts.sum()
        return {
            "modes": float((self.counts > 0).sum()),
            "kl": float(torch.xlogy(share, share * len(share)).sum()),
        }
