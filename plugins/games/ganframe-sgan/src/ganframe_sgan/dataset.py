"""A data set of which only a few labels are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.data import BadInput, Dataset, Randomness
from ganframe_sgan import PartlyLabelled

CHUNK = 256
"""Examples that are looked at together in the search for those to label."""


class PartlyLabelledData:
    """Examples without labels, and for each one a random example that has one.

    Args:
        config: The inner data, and how many of its examples are labelled.
        classes: How many classes there are.

    Raises:
        BadInput: When a class has too few examples.
    """

    def __init__(self, config: PartlyLabelled, classes: int) -> None:
        self.data = config.data.build()
        self.labelled = None if config.labels is None else choose(self.data, config.labels, classes, config.seed)

    def __len__(self) -> int:
        """How many examples there are, labelled or not."""
        return len(self.data)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """`real` with these examples, and as many of the labelled ones, drawn at random."""
        batch = self.data.fetch(indices, randomness)
        if self.labelled is None:
            return {"real": batch["real"], "labelled": batch["real"], "label": batch["label"]}
        draws = randomness.integers("labelled", len(self.labelled), len(indices))
        known = self.data.fetch([self.labelled[draw] for draw in draws], randomness.at("labelled"))
        return {"real": batch["real"], "labelled": known["real"], "label": known["label"]}


def choose(data: Dataset, labels: int, classes: int, seed: int) -> list[int]:
    """Indices of random examples, equally many of each class; where that is impossible, one more of some classes.

    Raises:
        BadInput: When a class has too few examples.
    """
    randomness = Randomness(seed).at("partly-labelled")
    wanted = [labels // classes] * classes
    for lucky in torch.randperm(classes, generator=randomness.generator("classes"))[: labels % classes].tolist():
        wanted[lucky] += 1
    order = torch.randperm(len(data), generator=randomness.generator("examples")).tolist()
    chosen: list[int] = []
    for start in range(0, len(order), CHUNK):
        if not any(wanted):
            break
        indices = order[start : start + CHUNK]
        for index, label in zip(indices, data.fetch(indices, randomness)["label"].tolist(), strict=True):
            if wanted[label]:
                wanted[label] -= 1
                chosen.append(index)
    if any(wanted):
        short = max(range(classes), key=wanted.__getitem__)
        message = f"class {short} has too few examples for {labels} labels over {classes} classes"
        raise BadInput(message, path=("labels",), remedy="Label fewer, or leave `labels` out to label all.")
    return chosen
