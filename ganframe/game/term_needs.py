"""The requirements of a term on a game, including those of the terms nested in its config."""

from __future__ import annotations

from dataclasses import dataclass

from ganframe.config.nesting import find_nested
from ganframe.config.terms import LossConfig, RegularizerConfig, TermConfig
from ganframe.game.contest import Side


@dataclass(frozen=True)
class TermNeeds:
    """The requirements of a term, and of all terms nested in it, on a game.

    The attributes are named like the class attributes and methods of configs that declare them.

    Attributes:
        tensors: Names of the tensors that are read.
        requires_grad_tensors: Names of the tensors with respect to which terms differentiate.
        requires_outputs: Names of the discriminator outputs, other than logits, that are read.
        requires_methods: Names of the generator methods that are called.
        grad_wrt_sides: The sides, `real` or `fake`, with respect to whose samples terms differentiate the logits.
        needs_double_backward: Whether the value contains a gradient, so that its own gradient is a second derivative.
        differentiates_discriminator: Whether it contains a gradient of a discriminator.
        batch_coupled: Whether the value is more than a mean over examples, and so needs the examples of all ranks.
        takes_targets: Whether label policies change the value. It is False if they leave the value of any nested loss
            unchanged.
    """

    tensors: tuple[str, ...]
    requires_grad_tensors: tuple[str, ...]
    requires_outputs: frozenset[str]
    requires_methods: frozenset[str]
    grad_wrt_sides: frozenset[Side]
    needs_double_backward: bool
    differentiates_discriminator: bool
    batch_coupled: bool
    takes_targets: bool


def find_needs(config: TermConfig) -> TermNeeds:
    """Collect the requirements of a term and of all terms nested in its config."""
    terms = [config, *(nested.config for nested in find_nested(config) if isinstance(nested.config, TermConfig))]
    losses = [term for term in terms if isinstance(term, LossConfig)]
    regularizers = [term for term in terms if isinstance(term, RegularizerConfig)]
    requires_grad_tensors = tuple(
        dict.fromkeys(name for regularizer in regularizers for name in regularizer.requires_grad_tensors())
    )
    sides = frozenset[Side]().union(*(regularizer.grad_wrt_sides for regularizer in regularizers))
    differentiates = bool(sides) or any(regularizer.needs_double_backward for regularizer in regularizers)
    return TermNeeds(
        tensors=tuple(dict.fromkeys(name for regularizer in regularizers for name in regularizer.tensors())),
        requires_grad_tensors=requires_grad_tensors,
        requires_outputs=frozenset[str]().union(*(term.requires_outputs for term in terms)),
        requires_methods=frozenset[str]().union(*(regularizer.requires_methods for regularizer in regularizers)),
        grad_wrt_sides=sides,
        needs_double_backward=differentiates or bool(requires_grad_tensors),
        differentiates_discriminator=differentiates,
        batch_coupled=any(term.batch_coupled for term in terms),
        takes_targets=all(loss.takes_targets for loss in losses),
    )
