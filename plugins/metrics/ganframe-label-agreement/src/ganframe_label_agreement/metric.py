"""Counting agreements, and how far the count can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ganframe.config import BadInput, DatasetConfig
from ganframe.game import Randomness
from ganframe_label_agreement import LabelAgreement
from ganframe_label_agreement.classifier import Classifier, classifier
from ganframe_label_agreement.sample_statistics import SampleStatistics, match


class Agreement:
    """A count of samples, and of those that the classifier assigns to the requested class.

    Args:
        config: The names of the tensors, and the classifier or its training.
        data: The run's training data.

    References:
        Shmelkov et al. 2018, arXiv:1807.09499, section 3 (GAN-test).
    """

    def __init__(self, config: LabelAgreement, data: DatasetConfig) -> None:
        self.config, self.data = config, data
        self.right = self.total = 0
        self.statistics = SampleStatistics()
        self._classifier: Classifier | None = None

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Count a batch; on the first one, build or train the classifier.

        Raises:
            BadInput: When the samples do not have the shape of the data, or the classifier is an encoder that cannot be
                built or does not give class logits.
        """
        samples, labels = tensors[self.config.sample], tensors[self.config.label]
        shape = tuple(self.data.spec()[self.config.real].shape)
        if samples.shape[1:] != shape:
            name, given = self.config.sample, " x ".join(map(str, samples.shape[1:]))
            message = f"one example of {name!r} is {given}, and one of the data {' x '.join(map(str, shape))}"
            raise BadInput(message, path=("sample",), remedy="Name a tensor of the shape of the data.")
        self._classifier = classifier(self.config, self.data, samples.device)
        self.right += int((self._classifier.predict(samples) == labels).sum())
        self.total += len(labels)
        self.statistics.update(samples)

    def merge(self, other: Agreement) -> None:
        """Add another count."""
        self.right += other.right
        self.total += other.total
        self.statistics.merge(other.statistics)
        self._classifier = self._classifier or other._classifier

    def compute(self) -> dict[str, float]:
        """Return the share of agreements, both accuracies of the classifier, and the margin of the share."""
        if self._classifier is None:
            return {"agreement": 0.0}
        agreement = self.right / self.total
        images = self._classifier.images
        accuracy = self._classifier.accuracy(images)
        matched = match(images, self.statistics, Randomness(self.config.seed).at("label-agreement"))
        matched_accuracy = self._classifier.accuracy(matched)
        return {
            "agreement": agreement,
            "classifier_accuracy": accuracy,
            "matched_accuracy": matched_accuracy,
            "margin": _margin(min(accuracy, matched_accuracy), len(images), agreement, self.total),
        }

    def protocol(self) -> dict[str, str]:
        """Return the classifier and the examples that it is judged by."""
        if self._classifier is None:
            return {}
        return {"classifier": self._classifier.description, "held-out examples": self._classifier.origin}


def _margin(accuracy: float, judged: int, agreement: float, counted: int) -> float:
    """Return how far the true share may lie from the agreement, at most 1.

    If a share e of samples is misclassified, the agreement differs from the true share by at most e. The classifier's
    error on held-out examples stands for e, two standard errors higher, because they are few; two standard errors of
    the agreement itself come on top. Both are of shares (r + 1) / (n + 2), which are never 0 or 1.
    """
    error = _upper((1 - accuracy) * judged, judged)
    share = (agreement * counted + 1) / (counted + 2)
    return min(error + 2 * math.sqrt(share * (1 - share) / counted), 1.0)


def _upper(wrong: float, count: int) -> float:
    """Return the share of wrong ones plus two standard errors."""
    share = (wrong + 1) / (count + 2)
    return wrong / count + 2 * math.sqrt(share * (1 - share) / count)
