"""The game of a generator without a discriminator."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from ganframe.config import DataSpec
from ganframe.game import Game, PlayerSpec, Round, Turn, draw_latents, tensor
from ganframe_mmd import MomentMatchingGame


class MomentMatching(Game):
    """A generator whose samples are compared with the data by terms; there are no contests.

    References:
        Li et al. 2015, arXiv:1502.02761; Dziugaite et al. 2015, arXiv:1505.03906.
    """

    inputs = ("real",)
    output = "fake"
    pictures = ("fake",)
    sampling_inputs = ("latent",)
    contests = ()
    turns = (Turn("generator", players=("generator",)),)

    def __init__(self, config: MomentMatchingGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        return {"generator": PlayerSpec(self.config.generator, ("generator",), self.data["real"])}

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw from the prior, `(B, *latent_shape)`."""
        return draw_latents(game_round, prior=self.config.prior)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return G(z)."""
        return self.players["generator"](game_round["latent"])
