"""How well examples are classified: as a term to minimise and as a share of right answers."""

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
    """

    def __init__(self, config: Classification) -> None:
        self.config = config

    def forward(self, game_round: Round) -> Tensor:
        """The mean over the batch, in nats."""
        return cross_entropy(game_round[self.config.logits].flatten(1), game_round[self.config.labels])


class Accuracy:
    """A count of examples, and of those that are classified rightly.

    Args:
        config: The names of the tensors.
    """

    def __init__(self, config: ClassificationAccuracy) -> None:
        self.config = config
        self.right = self.total = 0

    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Take in a batch."""
        labels = tensors[self.config.labels]
        self.right += int((tensors[self.config.logits].argmax(dim=1) == labels).sum())
        self.total += len(labels)

    def merge(self, other: Accuracy) -> None:
        """Take in another count."""
        self.right += other.right
        self.total += other.total

    def compute(self) -> dict[str, float]:
        """The share of right answers."""
        return {"accuracy": self.right / max(self.total, 1)}
