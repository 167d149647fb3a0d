"""The plain adversarial game."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from ganframe.config import DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, draw_latents, tensor
from ganframe_adversarial import AdversarialGame


class Adversarial(Game):
    """Generator against discriminator, with or without a condition.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661; conditional: Mirza and Osindero 2014, arXiv:1411.1784.
    """

    output = "fake"
    pictures = ("fake",)

    def __init__(self, config: AdversarialGame, data: DataSpec) -> None:
        self.config = config
        conditions = () if config.condition is None else (config.condition,)
        self.inputs = ("real", *conditions)
        self.sampling_inputs = ("latent", *conditions)
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

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        sample = self.data["real"]
        condition = None if self.config.condition is None else self.data[self.config.condition]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), sample, condition=condition),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), sample, condition=condition),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw from the prior, `(B, *latent_shape)`."""
        return draw_latents(game_round, prior=self.config.prior)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return G(z), or G(z, y) with a condition y."""
        condition = () if self.config.condition is None else (game_round[self.config.condition],)
        return self.players["generator"](game_round["latent"], *condition)
