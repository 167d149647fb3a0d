"""Classification: cross entropy as a term, accuracy as a metric."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

from ganframe.game import Round
from ganframe_sgan import Classification, ClassificationAccuracy


class CrossEntropy:
    """-E log softmax(logits)[label].

    Args:
        config: The names of the tensors.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 5, L_supervised.
    """

    def __init__(self, config: Classification) -> None:
        self.config = config

    def forward(self, game_round: Round) -> Tensor:
        """Return the mean over the batch, in nats."""
        return cross_entropy(game_round[self.config.logits].flatten(1), game_round[self.config.label_tensor])


class Accuracy:
    """Counts examples and those that are classified correctly.

    Args:
        config: The names of the tensors.
    """

    def __init__(self, config: ClassificationAccuracy) -> None:
        self.config = config
        self.correct = self.total = 0

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Count a batch."""
        labels = tensors[self.config.label_tensor]
        self.correct += int((tensors[self.config.logits].argmax(dim=1) == labels).sum())
        self.total += len(labels)

    def merge(self, other: Accuracy) -> None:
        """Add another count."""
        self.correct += other.correct
        self.total += other.total

    def compute(self) -> dict[str, float]:
        """Return the share of correct classifications."""
        return {"accuracy": self.correct / max(self.total, 1)}
