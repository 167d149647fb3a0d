"""The output of a discriminator."""
# A deferred output computes what is a field of its base class.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ganframe.game.samples import Sample, sample_parts


@dataclass
class DiscriminatorOutput:
    """The output of a discriminator for a batch of samples.

    Attributes:
        logits: Raw outputs, batch axis first: `(B,)`, or `(B, 1, h, w)` for one per patch. Larger means more real.
        features: Intermediate activations, input side first; empty where the network returns none.
        class_logits: `(B, classes)`; None where the network does not classify.
        sample: The samples, before augmentation. Set by the round.
        condition: The condition that came with them. Set by the round.
        target: `(B,)` in [0, 1], how real the discriminator is told the samples are; None without label policies,
            which means 1 for the real side and 0 for the fake. Set by the objective.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    sample: Sample | None = None
    condition: Tensor | None = None
    target: Tensor | None = None

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors of the samples, also when a sample is just one."""
        return () if self.sample is None else sample_parts(self.sample)


class DeferredOutput(DiscriminatorOutput):
    """An output that is computed when some attribute of it is first read.

    Most losses do not read the real side in a generator's turn; the discriminator is not run on reals then.

    Args:
        compute: Runs the discriminator.
    """

    def __init__(self, compute: Callable[[], DiscriminatorOutput]) -> None:
        self._compute = compute

    @functools.cached_property
    def _output(self) -> DiscriminatorOutput:
        return self._compute()

    @property
    def logits(self) -> Tensor:
        """Raw outputs."""
        return self._output.logits

    @property
    def features(self) -> tuple[Tensor, ...]:
        """Intermediate activations."""
        return self._output.features

    @property
    def class_logits(self) -> Tensor | None:
        """One logit for each class."""
        return self._output.class_logits

    @property
    def sample(self) -> Sample | None:
        """The samples, before augmentation."""
        return self._output.sample

    @property
    def condition(self) -> Tensor | None:
        """The condition that came with the samples."""
        return self._output.condition

    @property
    def target(self) -> Tensor | None:
        """How real the discriminator is told the samples are."""
        return self._output.target
