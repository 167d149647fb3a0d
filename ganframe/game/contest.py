"""Contests: the pairs of tensors that adversarial losses score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["real", "fake"]
"""One of the two tensors of a contest."""


@dataclass
class Contest:
    """One pair of tensors that an adversarial loss scores.

    Attributes:
        discriminator: The player who discriminates.
        real: Name of the tensor that the discriminator should call real.
        fake: Name of the tensor that it should call fake.
        real_condition: Name of the condition that goes with `real`.
        fake_condition: Name of the condition that goes with `fake`.
        replay: Name of the tensor that takes the place of `fake` in the discriminator's own turn, to show past fakes.
        generators: The players behind `fake`, in whose turns the contest counts. All but discriminators when None.
        weight: Factor of the contest in a loss over several.
        name: The name of the contest in configs and logs; that of the discriminator when empty.
    """

    discriminator: str
    real: str
    fake: str
    real_condition: str | None = None
    fake_condition: str | None = None
    replay: str | None = None
    generators: tuple[str, ...] | None = None
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or self.discriminator

    def tensors(self) -> tuple[str, ...]:
        """Return the names of the tensors that the contest reads."""
        named = (self.real, self.fake, self.real_condition, self.fake_condition, self.replay)
        return tuple(name for name in named if name is not None)
