"""Contests: pairs of a real and a fake tensor, which a discriminator tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["real", "fake"]
"""The real or the fake samples of a contest."""

ConditionName = str | tuple[str, ...]
"""Name of the tensor that conditions samples, such as `label`; a tuple of names for several tensors."""


def condition_names(condition: ConditionName | None) -> tuple[str, ...]:
    """Return the names in a condition as a tuple, which is empty for None."""
    if condition is None:
        return ()
    return (condition,) if isinstance(condition, str) else condition


@dataclass
class Contest:
    """Two named tensors: one that a discriminator should call real, and one that it should call fake.

    Attributes:
        discriminator: Name of the player that scores both tensors.
        real: Name of the tensor that the discriminator should call real.
        fake: Name of the tensor that the discriminator should call fake.
        real_condition: Name of the tensor that conditions `real`, such as a class label; a tuple of names for several
            tensors; None if the discriminator is unconditional.
        fake_condition: The same for `fake`.
        replay: Name of a tensor with past fakes, which replaces `fake` when the discriminator is trained; None to use
            `fake` always.
        generators: Names of the players that make `fake`. Losses score the contest in the turns (optimizer steps) that
            train one of them. None means every player that is not a discriminator.
        weight: Factor of this contest in the sum of a loss over contests.
        name: Name of the contest in configs and logs; by default the name of the discriminator.
    """

    discriminator: str
    real: str
    fake: str
    real_condition: ConditionName | None = None
    fake_condition: ConditionName | None = None
    replay: str | None = None
    generators: tuple[str, ...] | None = None
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or self.discriminator

    def tensors(self) -> tuple[str, ...]:
        """Return the names of all tensors of the contest: both sides, their conditions and `replay`."""
        conditions = (*condition_names(self.real_condition), *condition_names(self.fake_condition))
        return (self.real, self.fake, *conditions, *(() if self.replay is None else (self.replay,)))
