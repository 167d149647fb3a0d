"""The game of pix2pix."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from ganframe.config import DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, tensor
from ganframe_pix2pix import PairedGame


class Paired(Game):
    """Generator against a discriminator of pairs. A term such as `l1` makes fakes resemble their targets.

    References:
        Isola et al. 2017, arXiv:1611.07004, eq. 1.
    """

    inputs = ("source", "target")
    output = "fake"
    pictures = ("source", "fake", "target")
    sampling_inputs = ("source",)
    translations = (("source", "fake"),)
    contests = (Contest("discriminator", real="real_pair", fake="fake_pair"),)
    turns = (Turn("discriminator", players=("discriminator",)), Turn("generator", players=("generator",)))

    def __init__(self, config: PairedGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        source, target = self.data["source"], self.data["target"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), target, source=source),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), (source, target)),
        }

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return G(x) for the sources x."""
        return self.players["generator"](game_round["source"])

    @tensor
    def real_pair(self, game_round: Round) -> tuple[Tensor, Tensor]:
        """Return (x, y): sources with their targets."""
        return game_round["source"], game_round["target"]

    @tensor
    def fake_pair(self, game_round: Round) -> tuple[Tensor, Tensor]:
        """Return (x, G(x)): sources with their translations."""
        return game_round["source"], game_round["fake"]
