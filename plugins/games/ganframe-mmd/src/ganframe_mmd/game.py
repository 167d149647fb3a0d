"""The game of a generator alone."""

from __future__ import annotations

from torch import Tensor

from ganframe.config import DataSpec
from ganframe.game import Game, PlayerSpec, Round, Turn, tensor
from ganframe_mmd import MomentMatchingGame


class MomentMatching(Game):
    """A generator whose samples are compared with the data by terms; there are no contests."""

    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    contests = ()
    turns = (Turn("generator", players=("generator",)),)

    def __init__(self, config: MomentMatchingGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """Who plays."""
        return {"generator": PlayerSpec(self.config.generator, ("generator",), self.data["real"])}

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
        return self.players["generator"](game_round["latent"])
