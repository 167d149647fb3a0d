"""The output of a discriminator."""
# A deferred output computes what is a field of its base class.
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
        heads: The output of each head, in the order of `DiscriminatorConfig.heads()`; empty for a single head. See
            `of_heads`.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    sample: Sample | None = None
    condition: Tensor | None = None
    target: Tensor | None = None
    heads: tuple[DiscriminatorOutput, ...] = ()

    @classmethod
    def of_heads(cls, heads: Sequence[DiscriminatorOutput]) -> DiscriminatorOutput:
        """Return the output of a discriminator with several heads, such as one for each scale or period.

        A loss is summed over the heads. Whatever reads the whole output gets the logits of all heads, `(B, N)` and
        flat, and the features of all heads in order.

        Args:
            heads: The output of each head.
        """
        logits = torch.cat([head.logits.reshape(len(head.logits), -1) for head in heads], 1)
        features = tuple(feature for head in heads for feature in head.features)
        return cls(logits, features, heads=tuple(heads))

    def describe(self, sample: Sample, condition: Tensor | None) -> None:
        """Set the samples and their condition, also of each head."""
        for output in (self, *self.heads):
            output.sample, output.condition = sample, condition

    def with_target(self, target: Tensor) -> DiscriminatorOutput:
        """Return the output with a target `(B,)`, also of each head."""
        heads = tuple(dataclasses.replace(head, target=target) for head in self.heads)
        return dataclasses.replace(self, target=target, heads=heads)

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

    @property
    def heads(self) -> tuple[DiscriminatorOutput, ...]:
        """The output of each head."""
        return self._output.heads


def split_heads(output: DiscriminatorOutput, count: int) -> Sequence[DiscriminatorOutput]:
    """Return the output of each head, computed when something of it is read.

    Args:
        output: The whole output.
        count: The number of heads; 0 for a discriminator with a single one, whose output is returned as it is.
    """
    return [DeferredOutput(lambda index=index: output.heads[index]) for index in range(count)] or [output]


def check_output(output: object, player: str, network: nn.Module, heads: Sequence[str]) -> None:
    """Refuse what a network returned in place of the output that its config declares.

    Args:
        output: What the network returned.
        player: The name of the player.
        network: The network.
        heads: The names of the heads that its config declares.

    Raises:
        BadInput: Names the player and its class.
    """
    if isinstance(output, DiscriminatorOutput) and len(output.heads) == len(heads):
        return
    owner = f"the discriminator {player!r} ({type(network).__module__}.{type(network).__qualname__})"
    if isinstance(output, DiscriminatorOutput):
        message = f"{owner} returned {len(output.heads)} heads, and its config names {len(heads)}"
        raise BadInput(message, path=("game",), remedy="Name each head in `heads()` of the config.")
    remedy = "Return `ganframe.game.DiscriminatorOutput(logits)`."
    raise BadInput(f"{owner} returned {type(output).__name__}", path=("game",), remedy=remedy)
