"""Contests: the pairs of tensors that adversarial losses score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    pass


Side = Literal["real", "fake"]


@dataclass(frozen=True)
class Contest:
    """One pair of tensors that an adversarial loss scores.

    Attributes:
        discriminator: The player who judges.
        real: Name of the tensor that is to be judged real.
        fake: Name of the tensor that is to be judged fake.
        real_condition: Name of the condition that is judged with `real`.
        fake_condition: Name of the condition that is judged with `fake`.
        replay: Name of the tensor that stands for `fake` in the discriminator's own turn, where past fakes are shown.
        generators: Players behind `fake`: the contest counts in their turns. All but discriminators when None.
        weight: Share of the contest in a loss over several.
        name: How configs call the contest; the discriminator's name when empty.
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
        object.__setattr__(self, "name", self.name or self.discriminator)

    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the contest reads."""
        named = (self.real, self.fake, self.real_condition, self.fake_condition, self.replay)
        return tuple(name for name in named if name is not None)
