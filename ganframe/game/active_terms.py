"""The terms that take part in a turn this time, and what they ask of its round."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ganframe.config.terms import RegularizerConfig
from ganframe.game.contest import Side
from ganframe.game.loss_term import LossTerm
from ganframe.game.regularizer_term import RegularizerTerm

Term = LossTerm | RegularizerTerm


@dataclass(frozen=True)
class ActiveTerms:
    """The terms that take part in a turn, lazy ones only when their interval is due.

    Attributes:
        terms: The terms, in the order of the config.
    """

    terms: tuple[Term, ...]

    @functools.cached_property
    def _regularizers(self) -> list[RegularizerConfig]:
        return [term.config for term in self.terms if isinstance(term, RegularizerTerm)]

    @functools.cached_property
    def grad_wrt_sides(self) -> frozenset[Side]:
        """The sides whose samples some term differentiates by."""
        return frozenset[Side]().union(*(config.grad_wrt_sides for config in self._regularizers))

    @functools.cached_property
    def requires_grad_tensors(self) -> frozenset[str]:
        """The tensors that some term differentiates by."""
        return frozenset[str]().union(*(config.requires_grad_tensors() for config in self._regularizers))

    @functools.cached_property
    def needs_double_backward(self) -> bool:
        """Whether some term differentiates through a player, so that the objective has second derivatives."""
        return any(
            config.needs_double_backward or config.grad_wrt_sides or config.requires_grad_tensors()
            for config in self._regularizers
        )
