"""The numbers of a step: gathered where they are computed, read in one transfer, refused when not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ganframe.distributed import collectives as distributed
from ganframe.errors import NotFinite


class StepMetrics:
    """Terms and gradient norms of the turns of one step, and the norms of what they moved.

    Reading a number from a device waits for it, so nothing is read before the step is over.

    Attributes:
        moved_is_finite: Whether all that has moved has a finite norm, once it is read.
    """

    def __init__(self) -> None:
        self._turns: list[tuple[str, list[str], list[str], float]] = []
        self._values: list[Tensor] = []
        self._moved: list[Tensor] = []
        self._noted: dict[str, Tensor] = {}
        self.moved_is_finite = True

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
        self._values += _norms(gradients)
        self._turns.append((turn, names, players, 1 / len(observed)))

    def moved(self, tensors: Sequence[Tensor]) -> None:
        """Note what the step has moved, after its turns."""
        self._moved += _norms(tensors)

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Note what hooks report, as it is."""
        self._noted |= values

    def read(self) -> dict[str, float]:
        """The scalars by `turn/name`, means over all ranks; of a turn that was taken several times, those of the last.

        Raises:
            NotFinite: When a term or a gradient is not finite: names the turn, the terms and the players.
        """
        numbers = _numbers([*self._values, *self._moved, *self._noted.values()])
        finite = math.isfinite(sum(numbers))  # one that is not makes the sum so
        scalars: dict[str, float] = {}
        done = 0
        for turn, names, players, share in self._turns:
            middle, end = done + len(names), done + len(names) + len(players)
            terms, norms = numbers[done:middle], numbers[middle:end]
            done = end
            if not finite:
                _check(turn, zip(names, terms, strict=True), zip(players, norms, strict=True))
            found: dict[str, float] = {"gradient norm": math.hypot(*norms)}
            for name, number in zip(names, terms, strict=True):
                found[name] = found.get(name, 0.0) + number * share
            scalars |= {f"{turn}/{name}": value for name, value in found.items()}
        end = done + len(self._moved)
        self.moved_is_finite = finite or all(map(math.isfinite, numbers[done:end]))
        return scalars | dict(zip(self._noted, numbers[end:], strict=True))


def _check(turn: str, terms: Iterable[tuple[str, float]], norms: Iterable[tuple[str, float]]) -> None:
    what = [f"the term {name!r}" for name in _not_finite(terms)]
    what += [f"the gradient of the player {name!r}" for name in _not_finite(norms)]
    if what:
        raise NotFinite(f"turn {turn!r}: not finite: {'; '.join(what)}")


def _not_finite(numbers: Iterable[tuple[str, float]]) -> list[str]:
    return sorted({name for name, number in numbers if not math.isfinite(number)})


def _norms(tensors: Sequence[Tensor]) -> Iterable[Tensor]:
    if not tensors:
        return ()
    # The public get_total_norm takes twice as long over small networks.
    norms = torch._foreach_norm(list(tensors))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    return map(distributed.full_tensor, norms)


def _numbers(values: Sequence[Tensor]) -> list[float]:
    if distributed.this_shard().world_size == 1 and all(value.is_cpu for value in values):
        return [value.item() for value in values]  # nothing to wait for, so one by one is faster
    return distributed.mean_over_ranks(torch.stack(list(values))).tolist() if values else []
