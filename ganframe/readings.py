"""The scalars of a step: gathered where they are computed, read in one transfer, refused when not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ganframe import distributed
from ganframe.errors import NotFinite


class Readings:
    """Terms and gradient norms of the turns of one step.

    Reading a number from a device waits for it, so nothing is read before the step is over.
    """

    def __init__(self) -> None:
        self._turns: list[tuple[str, list[str], list[str], float]] = []
        self._values: list[Tensor] = []
        self._noted: dict[str, Tensor] = {}

    def take(
        self, turn: str, observed: Sequence[Mapping[str, Tensor]], parameters: Mapping[str, Iterable[nn.Parameter]]
    ) -> None:
        """Note a turn, before its optimizer step.

        Args:
            turn: The turn's name.
            observed: Scalars by name, for each round that the turn was taken over.
            parameters: The parameters that move, by player.
        """
        names = [name for each in observed for name in each]
        players: list[str] = []
        gradients: list[Tensor] = []
        for player, own in parameters.items():
            moved = [each.grad for each in own if each.grad is not None]
            players += [player] * len(moved)
            gradients += moved
        self._values += [value.detach() for each in observed for value in each.values()]
        # The public get_total_norm takes twice as long over small networks.
        norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
        self._values += map(distributed.whole, norms)
        self._turns.append((turn, names, players, 1 / len(observed)))

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Note what hooks report, as it is."""
        self._noted |= values

    def read(self) -> dict[str, float]:
        """The scalars by `turn/name`, means over all ranks; of a turn that was taken several times, those of the last.

        Raises:
            NotFinite: When a term or a gradient is not finite: names the turn, the terms and the players.
        """
        numbers = _numbers([*self._values, *self._noted.values()])
        scalars: dict[str, float] = {}
        done = 0
        for turn, names, players, share in self._turns:
            middle, end = done + len(names), done + len(names) + len(players)
            terms, norms = numbers[done:middle], numbers[middle:end]
            done = end
            if not all(map(math.isfinite, numbers[middle - len(names) : end])):
                bad_terms = {name for name, number in zip(names, terms, strict=True) if not math.isfinite(number)}
                bad_players = {name for name, number in zip(players, norms, strict=True) if not math.isfinite(number)}
                what = [f"the term {name!r}" for name in sorted(bad_terms)]
                what += [f"the gradient of the player {name!r}" for name in sorted(bad_players)]
                raise NotFinite(f"turn {turn!r}: not finite: {'; '.join(what)}")
            found: dict[str, float] = {"gradient norm": math.hypot(*norms)}
            for name, number in zip(names, terms, strict=True):
                found[name] = found.get(name, 0.0) + number * share
            scalars |= {f"{turn}/{name}": value for name, value in found.items()}
        return scalars | dict(zip(self._noted, numbers[done:], strict=True))


def _numbers(values: Sequence[Tensor]) -> list[float]:
    return distributed.mean(torch.stack(list(values))).tolist() if values else []
