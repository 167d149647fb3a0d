"""The output of a discriminator: logits, features and class logits."""
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
        logits: Raw outputs: `(B,)`, or `(B, 1, h, w)` with one logit for each patch. Larger means more real. `Round`
            converts them to at least float32, whatever the precision of the network.
        features: Intermediate activations, from the first layer to the last; empty if the network returns none. They
            keep the dtype of the network, because converted copies would take much memory.
        class_logits: One logit for each class, `(B, classes)`, converted like `logits`; None if the network does not
            classify.
        sample: The samples that were scored, before augmentation. Set by `Round`.
        condition: The condition of each sample, one tensor `(B, ...)` or a tuple of tensors; None if the discriminator
            is unconditional. Set by `Round`.
        target: The label of each sample that the discriminator is trained towards, `(B,)` in [0, 1]. If None, it is 1
            for reals and 0 for fakes. Set by the objective, when label policies apply.
        heads: The output of each head, in the order of the network's `head_names`; empty if the network has a single
            head. See `of_heads`.
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
        """Store the samples and their condition, in the output of each head too."""
        for output in (self, *self.heads):
            output.sample, output.condition = sample, condition

    def widen(self) -> None:
        """Convert logits and class logits to at least float32, in the output of each head too."""
        for output in (self, *self.heads):
            output.logits = at_least_float32(output.logits)
            if output.class_logits is not None:
                output.class_logits = at_least_float32(output.class_logits)

    def with_target(self, target: Tensor) -> DiscriminatorOutput:
        """Return a copy with the target `(B,)`, in the output of each head too."""
        heads = tuple(dataclasses.replace(head, target=target) for head in self.heads)
        return dataclasses.replace(self, target=target, heads=heads)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors of `sample` as a tuple: one element for a single tensor, none if `sample` is None."""
        return () if self.sample is None else sample_parts(self.sample)


class DeferredOutput(DiscriminatorOutput):
    """A discriminator output that is computed lazily, when one of its attributes is first read.

    Most generator losses do not read the output for real samples, so the discriminator is not run on them.

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
        """The condition of each sample; None if the discriminator is unconditional."""
        return self._output.condition

    @property
    def target(self) -> Tensor | None:
        """The label of each sample, `(B,)` in [0, 1]; None if no label policy applies."""
        return self._output.target

    @property
    def heads(self) -> tuple[DiscriminatorOutput, ...]:
        """The output of each head."""
        return self._output.heads


def at_least_float32(values: Tensor) -> Tensor:
    """Convert `values` to float32 if their dtype has fewer bits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def split_heads(output: DiscriminatorOutput, count: int) -> Sequence[DiscriminatorOutput]:
    """Return the output of each head, computed lazily, when one of its attributes is first read.

    Args:
        output: The output of the discriminator.
        count: The number of heads; 0 for a discriminator with a single head, for which the result is `[output]`.
    """
    return [DeferredOutput(lambda index=index: output.heads[index]) for index in range(count)] or [output]


def check_output(output: object, player: str, network: nn.Module, heads: Sequence[str], size: int) -> None:
    """Refuse a discriminator's output without one row of logits for each sample, or with other heads than `head_names`.

    Args:
        output: What the network returned.
        player: The name of the discriminator.
        network: The network.
        heads: The network's `head_names`.
        size: The number of samples that the network was given.

    Raises:
        BadInput: When the output is refused. The error names the discriminator and the class of its network.
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
