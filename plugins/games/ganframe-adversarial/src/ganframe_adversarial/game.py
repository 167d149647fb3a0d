"""The plain adversarial game."""

from __future__ import annotations

from torch import Tensor

from ganframe.config import DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, tensor
from ganframe_adversarial import AdversarialGame


class Adversarial(Game):
    """Generator against discriminator, with or without a condition."""

    output = "fake"
    pictures = ("fake",)

    def __init__(self, config: AdversarialGame, data: DataSpec) -> None:
        self.config = config
        self.inputs = ("real",) if config.condition is None else ("real", config.condition)
        self.contests = (
            Contest(
                "discriminator",
                real="real",
                fake="fake",
                real_condition=config.condition,
                fake_condition=config.condition,
            ),
        )
        self.turns = (
            Turn("discriminator", players=("discriminator",), repeats=config.discriminator_steps),
            Turn("generator", players=("generator",)),
        )
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """Who plays."""
        sample = self.data["real"]
        condition = None if self.config.condition is None else self.data[self.config.condition]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), sample, condition=condition),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), sample, condition=condition),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draws from the prior, in the shape that the generator declares."""
        shape = (game_round.size, *self.players["generator"].latent_shape)
        if self.config.prior == "uniform":
            return game_round.randomness.uniform("latent", shape, game_round.device) * 2 - 1
        return game_round.randomness.normal("latent", shape, game_round.device)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """What the generator makes of the latents."""
        condition = () if self.config.condition is None else (game_round[self.config.condition],)
        return self.players["generator"](game_round["latent"], *condition)
