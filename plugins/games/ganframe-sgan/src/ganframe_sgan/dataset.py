"""A data set in which only a few examples have labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganframe.data import BadInput, Dataset, Randomness
from ganframe_sgan import PartlyLabelled

CHUNK = 256
"""Number of examples read at once in the search for those to label."""


class PartlyLabelledData:
    """Examples without labels, each together with a random example that has a label.

    Args:
        config: The inner data, and the number of labelled examples.
        classes: Number of classes.

    Raises:
        BadInput: When a class has too few examples.
    """

    def __init__(self, config: PartlyLabelled, classes: int) -> None:
        self.data = config.data.build()
        self.labelled = (
            None if config.num_labelled is None else choose(self.data, config.num_labelled, classes, config.seed)
        )

    def __len__(self) -> int:
        """Return the number of examples, labelled or not."""
        return len(self.data)

    def fetch(self, indices: Sequence[int], randomness: Randomness) -> dict[str, Tensor]:
        """Return `real` with these examples, and as many random labelled ones."""
        batch = self.data.fetch(indices, randomness)
        if self.labelled is None:
            return {"real": batch["real"], "labelled": batch["real"], "label": batch["label"]}
        draws = randomness.integers("labelled", len(self.labelled), len(indices))
        labelled = self.data.fetch([self.labelled[draw] for draw in draws], randomness.at("labelled"))
        return {"real": batch["real"], "labelled": labelled["real"], "label": labelled["label"]}


def choose(data: Dataset, labels: int, classes: int, seed: int) -> list[int]:
    """Choose random examples, the same number of each class; if that is impossible, one more of some classes.

    Raises:
        BadInput: When a class has too few examples.
    """
    randomness = Randomness(seed).at("partly-labelled")
    wanted = [labels // classes] * classes
    for label in torch.randperm(classes, generator=randomness.generator("classes"))[: labels % classes].tolist():
        wanted[label] += 1
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
        missing = max(range(classes), key=wanted.__getitem__)
        message = f"class {missing} has too few examples for {labels} labels over {classes} classes"
        raise BadInput(message, path=("num_labelled",), remedy="Label fewer, or leave `num_labelled` out to label all.")
    return chosen
