"""Notices of players that get no gradient in the optimizer step that should train them, and of terms that give none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from ganframe.distributed.notices import print_notice
from ganframe.game.active_terms import ActiveTerms
from ganframe.game.objective import Objective, ObjectiveValue
from ganframe.game.turn import Turn


class IdlePlayers:
    """A watch for players that get no gradient in a turn (optimizer step) that should train them.

    It reports a turn once, as soon as each of its terms has taken part, because a lazy term, or one that begins late,
    may be the only one that gives a player a gradient.

    Args:
        objective: The objective, with the terms of each turn.
        images: Real examples seen so far. Terms whose `until_images` is reached are not waited for.
    """

    def __init__(self, objective: Objective, images: int) -> None:
        self._awaited = {
            turn.name: {
                term.name
                for term in objective.terms_of(turn)
                if term.config.until_images is None or term.config.until_images > images
            }
            for turn in objective.game.turns
        }
        self._moved: dict[str, set[str]] = {turn: set() for turn in self._awaited}

    def look(
        self,
        turn: Turn,
        active: ActiveTerms,
        values: Sequence[ObjectiveValue],
        parameters: Mapping[str, Iterable[nn.Parameter]],
    ) -> None:
        """Read the gradients of a turn, after its backward pass, and print notices if it is time.

        Args:
            turn: The turn.
            active: The terms that took part.
            values: The objective over each accumulated batch.
            parameters: The parameters that train in the turn, by player or term.
        """
        if turn.name not in self._awaited:
            return
        awaited, moved = self._awaited[turn.name], self._moved[turn.name]
        for name in sorted(awaited & {term.name for term in active.terms}):
            awaited.remove(name)
            if not any(value.terms[name].requires_grad for value in values):
                text = f"its value in the turn {turn.name!r} does not depend on what trains there"
                print_notice(f"the term {name!r} moves no player", text)
        moved |= {name for name, own in parameters.items() if any(each.grad is not None for each in own)}
        if awaited:
            return
        for name in [name for name, own in parameters.items() if list(own) and name not in moved]:
            owner = name if name.startswith("term ") else f"the player {name!r}"
            terms = ", ".join(term.name for term in active.terms)
            text = f"no term of the turn {turn.name!r} gives it a gradient ({terms}). Add one, or freeze it."
            print_notice(f"{owner} never moves", text)
        del self._awaited[turn.name]
