"""The plain adversarial game: one generator against one discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from ganframe.config import Component, DataSpec, DiscriminatorConfig, GameConfig, GeneratorConfig, hookimpl

if TYPE_CHECKING:
    from ganframe_adversarial.game import Adversarial


class AdversarialGame(GameConfig):
    """One generator makes samples from latents, and one discriminator tells them from real samples."""

    paper = "Goodfellow et al. 2014, arXiv:1406.2661; conditional: Mirza and Osindero 2014, arXiv:1411.1784"
    type: Literal["adversarial"] = "adversarial"
    generator: GeneratorConfig
    """The network that makes samples."""
    discriminator: DiscriminatorConfig
    """The network that tells real samples from generated ones."""
    condition: str | None = None
    """Name of the data's tensor that both networks take as their condition, such as `label`; none when left out."""
    prior: Literal["normal", "uniform"] = "normal"
    """Distribution of each latent number: N(0, 1), or uniform in [-1, 1]."""
    discriminator_steps: int = Field(default=1, ge=1)
    """Discriminator turns for each generator turn, each on a batch of its own (k in the paper's algorithm 1)."""

    @override
    def build(self, data: DataSpec) -> Adversarial:
        from ganframe_adversarial.game import Adversarial

        return Adversarial(self, data)


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Register the game."""
    register(AdversarialGame)
