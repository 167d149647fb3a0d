"""The output of a discriminator."""
# `DeferredOutput` replaces fields of its base class by properties, which pyright reports.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganframe.errors import BadInput
from ganframe.game.samples import Sample, sample_parts
from ganframe.plugins.author_code import source_of


@dataclass
class DiscriminatorOutput:
    """The output of a discriminator for a batch of samples.

    Attributes:
        logits: Raw outputs: `(B,)`, or `(B, 1, h, w)` with one logit for each patch. Larger means more real. A round
            gives them in float32 or better, whatever the precision of the network.
        features: Intermediate activations, from the first layer to the last; empty if the network returns none. They
            keep the dtype of the network, because copies of them all would take more memory than the network.
        class_logits: `(B, classes)`; None if the network does not classify. In float32 or better, as the logits.
        sample: The samples that were scored, before augmentation. Set by the round.
        condition: The condition of each sample, one tensor `(B, ...)` or a tuple of tensors; None for an unconditional
            discriminator. Set by the round.
        target: How real the discriminator is told each sample is, `(B,)` in [0, 1]. None without label policies, which
            means 1 for the real side and 0 for the fake side. Set by the objective.
        heads: The output of each head, in the order of the network's `head_names`; empty for a single head. See
            `of_heads`.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    sample: Sample | None = None
    condition: Sample | None = None
    target: Tensor | None = None
    heads: tuple[DiscriminatorOutput, ...] = ()

    @classmethod
    def of_heads(cls, heads: Sequence[DiscriminatorOutput]) -> DiscriminatorOutput:
        """Return the output of a discriminator with several heads, such as one for each scale or period.

        A loss is summed over the heads. Code that reads the whole output gets the logits of all heads, flattened and
        joined to `(B, N)`, and the features of all heads in order.

        Args:
            heads: The output of each head.
        """
        logits = torch.cat([head.logits.reshape(len(head.logits), -1) for head in heads], 1)
        features = tuple(feature for head in heads for feature in head.features)
        return cls(logits, features, heads=tuple(heads))

    def describe(self, sample: Sample, condition: Sample | None) -> None:
        """Set the samples and their condition, in this output and in that of each head."""
        for output in (self, *self.heads):
            output.sample, output.condition = sample, condition

    def widen(self) -> None:
        """Convert logits and class logits of less than 32 bits to float32, also of each head."""
        for output in (self, *self.heads):
            output.logits = at_least_float32(output.logits)
            if output.class_logits is not None:
                output.class_logits = at_least_float32(output.class_logits)

    def with_target(self, target: Tensor) -> DiscriminatorOutput:
        """Return the output with a target `(B,)`, which each head has too."""
        heads = tuple(dataclasses.replace(head, target=target) for head in self.heads)
        return dataclasses.replace(self, target=target, heads=heads)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors of a sample as a tuple: one element for a single tensor, none if `sample` is None."""
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
        """One logit for each class, `(B, classes)`; None if the network does not classify."""
        return self._output.class_logits

    @property
    def sample(self) -> Sample | None:
        """The samples that were scored, before augmentation."""
        return self._output.sample

    @property
    def condition(self) -> Sample | None:
        """The condition of each sample; None for an unconditional discriminator."""
        return self._output.condition

    @property
    def target(self) -> Tensor | None:
        """How real the discriminator is told each sample is, `(B,)` in [0, 1]; None without label policies."""
        return self._output.target

    @property
    def heads(self) -> tuple[DiscriminatorOutput, ...]:
        """The output of each head."""
        return self._output.heads


def at_least_float32(values: Tensor) -> Tensor:
    """Return `values` in float32 where their dtype has fewer bits, else as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def split_heads(output: DiscriminatorOutput, count: int) -> Sequence[DiscriminatorOutput]:
    """Return the output of each head, computed when something of it is read.

    Args:
        output: The whole output.
        count: The number of heads; 0 for a discriminator with a single head, for which `output` is returned as it is.
    """
    return [DeferredOutput(lambda index=index: output.heads[index]) for index in range(count)] or [output]


def check_output(output: object, player: str, network: nn.Module, heads: Sequence[str], size: int) -> None:
    """Refuse an output without logits for each sample, or with other heads than the network names.

    Args:
        output: What the network returned.
        player: The name of the player.
        network: The network.
        heads: The names of the network's heads.
        size: The number of samples that the network was given.

    Raises:
        BadInput: When the output does not fit. The error names the player and the class of its network.
    """
    if isinstance(output, DiscriminatorOutput) and len(output.heads) == len(heads):
        if all(_has_rows(each.logits, size) for each in output.heads or (output,)):
            return
    owner = f"the discriminator {player!r} ({type(network).__module__}.{type(network).__qualname__})"
    message, remedy = f"{owner} returned {type(output).__name__}", "Return `ganframe.game.DiscriminatorOutput(logits)`."
    if isinstance(output, DiscriminatorOutput) and len(output.heads) != len(heads):
        message = f"{owner} returned {len(output.heads)} heads, and its `head_names` has {len(heads)}"
        remedy = "Name each head in the attribute `head_names` of the network."
    elif isinstance(output, DiscriminatorOutput):
        what = next(_what(each.logits) for each in output.heads or (output,) if not _has_rows(each.logits, size))
        message = f"{owner} returned {what} as the logits of {size} samples"
        remedy = "Logits are a tensor with one row for each sample: `(B,)`, or `(B, 1, h, w)` for patches."
    raise BadInput(message, place=source_of(type(network).forward), remedy=remedy)


def _what(logits: object) -> str:
    return f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__


def _has_rows(logits: object, size: int) -> bool:
    return isinstance(logits, Tensor) and logits.ndim > 0 and logits.shape[0] == size
