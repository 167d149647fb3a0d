"""What a discriminator returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Sample = Tensor | tuple[Tensor, ...]
from ganframe.game.protocols import Sample


@dataclass
class DiscriminatorOutput:
    """What a discriminator says of a batch of samples.

    Attributes:
        logits: Raw outputs, batch axis first: `(B,)`, or `(B, 1, h, w)` for one per patch. Larger means more real.
        features: Intermediate activations, input side first; empty where the network shows none.
        class_logits: `(B, classes)`; None where the network does not classify.
        sample: What was judged, before augmentation. Set by the round.
        condition: The condition that came with it. Set by the round.
        target: `(B,)` in [0, 1], how real the discriminator is told the samples are; None when no label policy
            speaks, which means 1 for the real side and 0 for the fake. Set by the objective.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    sample: Sample | None = None
    condition: Tensor | None = None
    target: Tensor | None = None
