"""Counting agreements."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganframe.config import DatasetConfig
from ganframe_label_agreement import LabelAgreement
from ganframe_label_agreement.classifier import predict, trained


class Agreement:
    """A count of samples, and of those that the classifier assigns to the requested class.

    Args:
        config: The names of the tensors, and the training of the classifier.
        data: The run's training data.

    References:
        Shmelkov et al. 2018, arXiv:1807.09499, section 3 (GAN-test).
    """

    def __init__(self, config: LabelAgreement, data: DatasetConfig) -> None:
        self.config, self.data = config, data
        self.right = self.total = 0
        self.accuracy: float | None = None

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Count a batch; on the first one, train the classifier."""
        samples, labels = tensors[self.config.sample], tensors[self.config.label]
        network, self.accuracy = trained(self.config, self.data, samples.device)
        self.right += int((predict(network, samples) == labels).sum())
        self.total += len(labels)

    def merge(self, other: Agreement) -> None:
        """Add another count."""
        self.right += other.right
        self.total += other.total
        self.accuracy = other.accuracy if self.accuracy is None else self.accuracy

    def compute(self) -> dict[str, float]:
        """Return the share of agreements, and the classifier's own accuracy if it can be measured."""
        known = {} if self.accuracy is None else {"classifier_accuracy": self.accuracy}
        return {"agreement": self.right / max(self.total, 1), **known}
