"""The terms of a turn that are due at some point of a run, and the gradients that they need."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ganframe.game.contest import Side
from ganframe.game.loss_term import LossTerm
from ganframe.game.regularizer_term import RegularizerTerm

Term = LossTerm | RegularizerTerm


@dataclass(frozen=True)
class ActiveTerms:
    """The terms of a turn that are due at some point of a run: a lazy term of interval k is due in each k-th turn.

    Attributes:
        terms: The losses, then the regularizers, each in the order of the config.
    """

    terms: tuple[Term, ...]

    @functools.cached_property
    def grad_wrt_sides(self) -> frozenset[Side]:
        """The sides of contests whose samples some term differentiates with respect to."""
        return frozenset[Side]().union(*(term.needs.grad_wrt_sides for term in self.terms))

    @functools.cached_property
    def requires_grad_tensors(self) -> frozenset[str]:
        """The names of the tensors that some term differentiates with respect to."""
        return frozenset[str]().union(*(term.needs.requires_grad_tensors for term in self.terms))

    @functools.cached_property
    def needs_double_backward(self) -> bool:
        """Whether the value of some term depends on a gradient, so that the backward pass takes second derivatives."""
        return any(term.needs.needs_double_backward for term in self.terms)
