"""The scalars of a step: collected on the device, read in one transfer at its end, refused when not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ganframe.distributed.collectives import full_tensor, mean_over_ranks
from ganframe.distributed.shard import this_shard
from ganframe.errors import NotFinite


class StepMetrics:
    """Terms and gradient norms of the turns of one step, and the norms of the tensors that the step updated.

    Reading a number from a GPU waits for the GPU, so nothing is read before the end of the step.

    Attributes:
        updated_is_finite: Whether the norms of all updated tensors are finite; set by `to_floats`.
    """

    def __init__(self) -> None:
        self._turns: list[tuple[str, list[str], list[str], float]] = []
        self._values: list[Tensor] = []
        self._updated_norms: list[Tensor] = []
        self._reported: dict[str, Tensor] = {}
        self.updated_is_finite = True

    def add_turn(
        self, turn: str, scalars: Sequence[Mapping[str, Tensor]], parameters: Mapping[str, Iterable[nn.Parameter]]
    ) -> None:
        """Add the scalars of a turn and the norms of its gradients. Call this before the optimizer step.

        Args:
            turn: The turn's name.
            scalars: The scalars of each accumulated batch, by name.
            parameters: The parameters that train, by player.
        """
        names = [name for by_name in scalars for name in by_name]
        players: list[str] = []
        gradients: list[Tensor] = []
        for player, own in parameters.items():
            own_gradients = [parameter.grad for parameter in own if parameter.grad is not None]
            players += [player] * len(own_gradients)
            gradients += own_gradients
        self._values += [value.detach() for by_name in scalars for value in by_name.values()]
        self._values += _norms(gradients)
        self._turns.append((turn, names, players, 1 / len(scalars)))

    def add_updated(self, tensors: Sequence[Tensor]) -> None:
        """Add the norms of the weights and moving averages that the step has updated. Call this after all turns."""
        self._updated_norms += _norms(tensors)

    def add_reported(self, values: Mapping[str, Tensor]) -> None:
        """Add the scalars that hooks have reported, under their own names."""
        self._reported |= values

    def to_floats(self) -> dict[str, float]:
        """Read all scalars and return them, by `turn/name`; those that hooks reported, by their own names.

        All are means over the ranks, and terms also over the accumulated batches. If a turn is repeated in the step,
        the scalars are those of the last repeat.

        Raises:
            NotFinite: When a term or a gradient is not finite. The message names the turn, the terms and the players.
        """
        numbers = _read([*self._values, *self._updated_norms, *self._reported.values()])
        finite = math.isfinite(sum(numbers))  # one number that is not finite makes the sum not finite
        scalars: dict[str, float] = {}
        start = 0
        for turn, names, players, share in self._turns:
            middle, end = start + len(names), start + len(names) + len(players)
            terms, norms = numbers[start:middle], numbers[middle:end]
            start = end
            if not finite:
                _check_finite(turn, zip(names, terms, strict=True), zip(players, norms, strict=True))
            found: dict[str, float] = {"gradient norm": math.hypot(*norms)}
            for name, number in zip(names, terms, strict=True):
                found[name] = found.get(name, 0.0) + number * share
            scalars |= {f"{turn}/{name}": value for name, value in found.items()}
        end = start + len(self._updated_norms)
        self.updated_is_finite = finite or all(map(math.isfinite, numbers[start:end]))
        return scalars | dict(zip(self._reported, numbers[end:], strict=True))


def _check_finite(turn: str, terms: Iterable[tuple[str, float]], norms: Iterable[tuple[str, float]]) -> None:
    problems = [f"the term {name!r}" for name in _not_finite(terms)]
    problems += [f"the gradient of the player {name!r}" for name in _not_finite(norms)]
    if problems:
        raise NotFinite(f"turn {turn!r}: not finite: {'; '.join(problems)}")


def _not_finite(numbers: Iterable[tuple[str, float]]) -> list[str]:
    return sorted({name for name, number in numbers if not math.isfinite(number)})


def _norms(tensors: Sequence[Tensor]) -> Iterable[Tensor]:
    if not tensors:
        return ()
    # The public get_total_norm takes twice as long over small networks.
    norms = torch._foreach_norm(list(tensors))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    return map(full_tensor, norms)


def _read(values: Sequence[Tensor]) -> list[float]:
    if this_shard().world_size == 1 and all(value.is_cpu for value in values):
        return [value.item() for value in values]  # nothing to wait for, so one by one is faster
    return mean_over_ranks(torch.stack(list(values))).tolist() if values else []
