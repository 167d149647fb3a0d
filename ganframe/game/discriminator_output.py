"""The output of a discriminator."""
# `DeferredOutput` replaces fields of its base class by properties, which pyright reports.
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
        logits: Raw outputs: `(B,)`, or `(B, 1, h, w)` with one logit for each patch. Larger means more real.
        features: Intermediate activations, from the first layer to the last; empty where the network returns none.
        class_logits: `(B, classes)`; None where the network does not classify.
        sample: The samples that were scored, before augmentation. Set by the round.
        condition: The condition of each sample, `(B, ...)`; None for an unconditional discriminator. Set by the round.
        target: How real the discriminator is told each sample is, `(B,)` in [0, 1]. None without label policies, which
            means 1 for the real side and 0 for the fake side. Set by the objective.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    sample: Sample | None = None
    condition: Tensor | None = None
    target: Tensor | None = None

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors of a sample as a tuple: one element for a single tensor, none where `sample` is None."""
        return () if self.sample is None else sample_parts(self.sample)


class DeferredOutput(DiscriminatorOutput):
    """A discriminator output that is computed when one of its attributes is first read.

    In a generator's turn most losses do not read the output for real samples, so the discriminator is not run on them.

    Args:
        compute: Runs the discriminator and returns its output.
    """

    def __init__(self, compute: Callable[[], DiscriminatorOutput]) -> None:
        self._compute = compute

    @functools.cached_property
    def _output(self) -> DiscriminatorOutput:
        return self._compute()

    @property
    def logits(self) -> Tensor:
        """Raw outputs, `(B,)` or `(B, 1, h, w)`."""
        return self._output.logits

    @property
    def features(self) -> tuple[Tensor, ...]:
        """Intermediate activations, from the first layer to the last."""
        return self._output.features

    @property
    def class_logits(self) -> Tensor | None:
        """One logit for each class, `(B, classes)`; None where the network does not classify."""
        return self._output.class_logits

    @property
    def sample(self) -> Sample | None:
        """The samples that were scored, before augmentation."""
        return self._output.sample

    @property
    def condition(self) -> Tensor | None:
        """The condition of each sample, `(B, ...)`; None for an unconditional discriminator."""
        return self._output.condition

    @property
    def target(self) -> Tensor | None:
        """How real the discriminator is told each sample is, `(B,)` in [0, 1]; None without label policies."""
        return self._output.target
