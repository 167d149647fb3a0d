"""The game of pix2pix."""

from __future__ import annotations

from torch import Tensor

from ganframe.config import DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, tensor
from ganframe_pix2pix import PairedGame


class Paired(Game):
    """Translator against a judge of pairs. That fakes resemble their targets is a term's business, such as `l1`."""

    inputs = ("source", "target")
    output = "fake"
    pictures = ("source", "fake", "target")
    contests = (Contest("discriminator", real="real_pair", fake="fake_pair"),)
    turns = (Turn("discriminator", players=("discriminator",)), Turn("generator", players=("generator",)))

    def __init__(self, config: PairedGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """Who plays."""
        source, target = self.data["source"], self.data["target"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), target, source=source),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), (source, target)),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """What the generator makes of the sources."""
        return self.players["generator"](game_round["source"])

    @tensor
    def real_pair(self, game_round: Round) -> tuple[Tensor, Tensor]:
        """Sources with their targets."""
        return game_round["source"], game_round["target"]

    @tensor
    def fake_pair(self, game_round: Round) -> tuple[Tensor, Tensor]:
        """Sources with what was made of them."""
        return game_round["source"], game_round["fake"]
