"""The terms (losses and regularizers) that take part in one optimizer step, and the gradients that they need."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ganframe.game.contest import Side
from ganframe.game.loss_term import LossTerm
from ganframe.game.regularizer_term import RegularizerTerm

Term = LossTerm | RegularizerTerm


@dataclass(frozen=True)
class ActiveTerms:
    """The losses and regularizers that take part in one turn (optimizer step).

    Attributes:
        terms: The losses, then the regularizers, each in the order of the config.
    """

    terms: tuple[Term, ...]

    @functools.cached_property
    def grad_wrt_sides(self) -> frozenset[Side]:
        """The sides, `real` or `fake`, with respect to whose samples some term differentiates the logits."""
        return frozenset[Side]().union(*(term.needs.grad_wrt_sides for term in self.terms))

    @functools.cached_property
    def requires_grad_tensors(self) -> frozenset[str]:
        """Names of the tensors with respect to which some term differentiates."""
        return frozenset[str]().union(*(term.needs.requires_grad_tensors for term in self.terms))

    @functools.cached_property
    def needs_double_backward(self) -> bool:
        """Whether some term contains a gradient, as a gradient penalty does, so that it needs second derivatives."""
        return any(term.needs.needs_double_backward for term in self.terms)
